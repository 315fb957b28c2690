package policy

import (
	"net/http"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// A rule may cap an upload by its length, which for chunks is that of what they hold.
func TestRequestLength(t *testing.T) {
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	e := engine(t, rule("small", "allow", `actions: ["s3:PutObject"], when: "request.length >= 0 && request.length <= 10"`))
	put := func(length int64, header ...string) Effect {
		h := http.Header{}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		head, err := id.Head(awsapi.Request{Method: "PUT", Host: "b1b.s3.us-east-1.amazonaws.com", Target: "/k", Header: h, ContentLength: length})
		if err != nil {
			t.Fatal(err)
		}
		c, err := head.Call(nil)
		if err != nil {
			t.Fatal(err)
		}
		return e.Decide(ask(c)).Effect
	}
	chunks := []string{"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length"}
	for name, got := range map[string][2]Effect{
		"short":               {put(10), Allow},
		"long":                {put(11), Deny},
		"not known":           {put(-1), Deny},
		"short in chunks":     {put(200, append(chunks, "10")...), Allow},
		"long in chunks":      {put(200, append(chunks, "11")...), Deny},
		"chunks, not counted": {put(-1, append(chunks, "10")...), Allow},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %v", name, got[0])
		}
	}
}
