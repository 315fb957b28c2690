package mask

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
)

// Token stands where a secret text was. Its length says nothing about the
// secret, and it is valid base64, so that an SDK that expects a blob where only
// a rule said to mask still reads the answer.
const Token = "sallyport/masked"

var tokenBase64 = base64.StdEncoding.EncodeToString([]byte(Token))

// textFor returns what stands for the text s of a member of the given shape type
// ("" when not known). Timestamps stay timestamps: SDKs fail on anything else.
func textFor(s, typ string) string {
	switch typ {
	case "blob":
		return tokenBase64
	case "integer", "long", "short", "byte", "float", "double", "biginteger", "bigdecimal":
		return "0"
	case "boolean":
		return "false"
	}
	if len(s) <= 40 {
		if _, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return "1970-01-01T00:00:00Z"
		}
		if _, err := time.Parse(http.TimeFormat, s); err == nil {
			return "Thu, 01 Jan 1970 00:00:00 GMT"
		}
	}
	if typ == "timestamp" {
		return "0"
	}
	return Token
}

// scalarFor is textFor where text carries every type, as in XML and headers: a
// number below a marked structure must stay a number.
func scalarFor(s, typ string) string {
	switch typ {
	case "", "structure", "list", "map":
		if s == "true" || s == "false" {
			return "false"
		}
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return "0"
		}
	}
	return textFor(s, typ)
}
