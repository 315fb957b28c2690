package awsapi_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/refusal"
)

// TestNeverForwarded sends every operation with headers that must stay behind,
// those included that an operation's model binds to a member.
func TestNeverForwarded(t *testing.T) {
	id := identifier(t)
	seen := 0
	for _, s := range samples(t) {
		m := mutantOf(t, &s)
		for _, k := range []string{"X-Amz-Security-Token", "X-Amz-Date", "X-Amz-S3session-Token", "X-Amz-Sso_bearer_token", "X-Amz-Bearer-Token", "Cookie", "Forwarded", "Via", "X-Amzn-Trace-Id", "Te", "Trailer", "Upgrade", "Expect", "Origin",
			"Proxy-Authorization", "Proxy-X", "X-Forwarded-For", "X-Http-Method-Override", "X-Evil", "Keep-Alive", "Transfer-Encoding"} {
			m.header.Set(k, "canary")
		}
		call, err := identify(id, m.request(), m.body)
		if err != nil {
			if refusal.Of(err).Reason != refusal.Unidentified { // a name that only an operator makes known
				t.Errorf("%s:%s: %v", s.Expect.Service, s.Expect.Operation, err)
			}
			continue
		}
		for k, v := range call.Canonical().Header() {
			if seen++; strings.Contains(strings.Join(v, ""), "canary") {
				t.Errorf("%s:%s: %s goes on", s.Expect.Service, s.Expect.Operation, k)
			}
		}
		for name, v := range call.Params() {
			if v == "canary" {
				t.Errorf("%s:%s: %s is judged and does not go on", s.Expect.Service, s.Expect.Operation, name)
			}
		}
	}
	if seen == 0 {
		t.Error("no header went on")
	}
}
