package mask

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Style is how a masked value is replaced. The zero value is Redact.
type Style string

// The styles, the strictest first.
const (
	Drop        Style = "drop"        // the member is taken out; where that cannot be, Redact
	Redact      Style = "redact"      // Token, or a zero of the value's type
	Fingerprint Style = "fingerprint" // FingerprintPrefix and 8 hex digits: equal secrets look equal
	Last4       Style = "last4"       // FingerprintPrefix and the last four characters of a text of 12 or more
)

var strictness = map[Style]int{Drop: 4, Redact: 3, "": 3, Fingerprint: 2, Last4: 1}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Style) UnmarshalText(text []byte) error {
	if _, ok := strictness[Style(text)]; !ok || len(text) == 0 {
		return fmt.Errorf("%q is no way to mask; they are redact, fingerprint, last4, drop", string(text))
	}
	*s = Style(text)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Style) MarshalText() ([]byte, error) { return []byte(s), nil }

// Stricter is the one of two styles that shows less.
func Stricter(a, b Style) Style {
	if strictness[b] > strictness[a] {
		a = b
	}
	if a == "" {
		return Redact
	}
	return a
}

// Token stands where a secret text was. Its length says nothing about the
// secret, and it is valid base64, so that an SDK that expects a blob where only
// a rule said to mask still reads the answer.
const Token = "sallyport/masked"

// FingerprintPrefix begins what stands for a text under Fingerprint and Last4.
const FingerprintPrefix = "sallyport:masked:"

// KeySize is the least length of a fingerprint key in bytes.
const KeySize = 32

var errNoKey = errors.New("a rule wants fingerprints, and the gateway has no key for them")

var tokenBase64 = base64.StdEncoding.EncodeToString([]byte(Token))

// swapper makes what stands for masked values.
type swapper struct{ key []byte }

// word is what stands for the text s.
func (w swapper) word(s []byte, style Style) string {
	if ours(s) {
		return string(s) // masked before: masking twice changes nothing
	}
	switch style {
	case Fingerprint:
		// Keyed, so that nobody without the key can try guesses of a short secret.
		// 32 bits tell secrets apart and leave many texts for each.
		m := hmac.New(sha256.New, w.key)
		m.Write(s)
		return FingerprintPrefix + hex.EncodeToString(m.Sum(nil)[:4])
	case Last4:
		// Of a shorter text four characters would be too large a part.
		if utf8.Valid(s) && utf8.RuneCount(s) >= minLast4 {
			r := []rune(string(s))
			return FingerprintPrefix + string(r[len(r)-4:])
		}
	case Drop, Redact:
	}
	return Token
}

const minLast4 = 12

// ours reports that s is a replacement that word made.
func ours(s []byte) bool {
	if string(s) == Token {
		return true
	}
	if !bytes.HasPrefix(s, []byte(FingerprintPrefix)) {
		return false
	}
	rest := string(s[len(FingerprintPrefix):])
	_, err := hex.DecodeString(rest)
	return utf8.RuneCountInString(rest) == 4 || len(rest) == 8 && err == nil
}

// text is what stands for the text s of a member of the given shape type ("" when
// not known). Timestamps stay timestamps: SDKs fail on anything else.
func (w swapper) text(s []byte, typ string, style Style) string {
	if len(s) == 0 {
		return ""
	}
	switch typ {
	case "blob":
		return w.blob(s, style)
	case "integer", "long", "short", "byte", "float", "double", "biginteger", "bigdecimal":
		return "0"
	case "boolean":
		return "false"
	}
	if len(s) <= 40 && len(s) > 4 && (s[4] == '-' || s[3] == ',') { // a failed Parse is slow
		if _, err := time.Parse(time.RFC3339Nano, string(s)); err == nil {
			return "1970-01-01T00:00:00Z"
		}
		if _, err := time.Parse(http.TimeFormat, string(s)); err == nil {
			return "Thu, 01 Jan 1970 00:00:00 GMT"
		}
	}
	if typ == "timestamp" {
		return "0"
	}
	word := w.word(s, style)
	if typ == "" && word != Token && !ours(s) && isBlob(s) {
		// It may be a blob: what stands for it must be base64 too.
		return w.blob(s, style)
	}
	return word
}

// blob is what stands for base64 text: base64 of what stands for its bytes.
func (w swapper) blob(s []byte, style Style) string {
	raw, err := base64.StdEncoding.DecodeString(string(s))
	if err != nil {
		return tokenBase64
	}
	return base64.StdEncoding.EncodeToString([]byte(w.word(raw, style)))
}

// isBlob reports that a text of unknown type could be a blob, which an SDK would
// decode: base64 that does not look like a word or a number.
func isBlob(s []byte) bool {
	_, err := base64.StdEncoding.DecodeString(string(s))
	return err == nil && bytes.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && bytes.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz0123456789=+/")
}

// scalar is text where text carries every type, as in XML and headers: a number
// below a marked structure must stay a number.
func (w swapper) scalar(s []byte, typ string, style Style) string {
	switch typ {
	case "", "structure", "list", "map":
		if string(s) == "true" || string(s) == "false" {
			return "false"
		}
		if _, err := strconv.ParseFloat(string(s), 64); err == nil {
			return "0"
		}
	}
	return w.text(s, typ, style)
}

// fit makes a replacement as long as what it replaces.
func fit(word string, n int) []byte {
	if len(word) > n {
		word = ""
	}
	return append([]byte(word), strings.Repeat("*", n-len(word))...)
}
