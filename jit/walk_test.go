package jit

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awstest"
)

// A request that awsapi judged, minted and signed here, is taken by a service
// that verifies its signature and its session policy; the foreign bucket is not.
func TestJudgedMintedSigned(t *testing.T) {
	s, m := startAWS(t, awstest.Config{})
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	for target, status := range map[string]int{
		"/acme-dev-reports/2026/q3.csv":                                               200,
		"/acme-dev-reports/2026/gr%C3%B6%C3%9Fe%20und%20l%C3%A4nge%20%28final%29.txt": 200,
		"/acme-dev-reports?list-type=2&prefix=2026%2F":                                200,
		"/partner-exfil/inbox/readme.txt":                                             403,
	} {
		head, err := id.Head(awsapi.Request{Method: "GET", Host: "s3.us-east-1.amazonaws.com", Target: target, Header: http.Header{}, Account: awstest.Account})
		if err != nil {
			t.Fatal(err)
		}
		call, err := head.Call([]byte{})
		if err != nil {
			t.Fatal(err)
		}
		r := request()
		r.Call = call
		cred, err := m.Mint(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		req, err := Sign(t.Context(), call.Canonical(), nil, cred, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Transport().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d %s\n%s", target, resp.StatusCode, body, cred.SessionPolicy())
		}
	}
}
