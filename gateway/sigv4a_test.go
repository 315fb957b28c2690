package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

const multiRegionPolicy = `rules:
  - {name: all, who: {groups: [ai-agents]}, targets: ["*"], actions: ["events:PutEvents", "s3:*"], effect: allow}
`

// Names that stand for several regions are signed for with SigV4A, which the
// simulated AWS verifies by a derivation of its own; a target that is held to some
// regions does not reach them.
func TestSigV4A(t *testing.T) {
	r := newRig(t, rigOptions{policy: multiRegionPolicy})
	const v4a = "Authorization: AWS4-ECDSA-P256-SHA256 Credential=wide/20260101/SERVICE/aws4_request, SignedHeaders=host, Signature=" + clientSignature
	const bus = "abcde.veo.endpoint.events.amazonaws.com"
	put := func(key string) answer {
		return r.tunnel(t, bus, r.token()).do(t, http.MethodPost, "/", `{"Entries":[]}`,
			append(jsonCall("AWSEvents.PutEvents"), "X-Amz-Region-Set: us-east-1,eu-west-1", strings.Replace(strings.Replace(v4a, "SERVICE", "events", 1), "wide", key, 1))...)
	}
	if a := put("wide"); a.reason() != "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	const point = "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com"
	for name, header := range map[string][]string{
		"plain":  {"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"},
		"chunks": {"X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length: 5", "X-Amz-Trailer: x-amz-checksum-crc32", "Content-Encoding: aws-chunked"},
	} {
		body := "hello"
		if name == "chunks" {
			body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
		}
		r.tunnel(t, point, r.token()).do(t, http.MethodPut, "/a%2Bb%20c(1)", body, append(header, "X-Amz-Region-Set: *", strings.Replace(v4a, "SERVICE", "s3", 1))...)
	}
	_, calls := r.upstream()
	if len(calls) != 3 {
		t.Fatalf("%d requests arrived", len(calls))
	}
	for _, got := range calls {
		// KeyID is there once the signature was verified, whatever came of the call.
		if got.KeyID == "" || !strings.HasPrefix(got.Header.Get("Authorization"), "AWS4-ECDSA-P256-SHA256 ") || got.Header.Get("X-Amz-Region-Set") != "*" {
			t.Errorf("arrived with %s\n%s", got.ErrorCode, got.Head)
		}
		if got.Method == http.MethodPut && (string(got.Body) != "hello" || got.Header.Get("Content-Encoding") != "" || got.Header.Get("X-Amz-Content-Sha256") != "UNSIGNED-PAYLOAD") {
			t.Errorf("arrived\n%s%s", got.Head, got.Body)
		}
	}
	refused(t, put("dev"), http.StatusForbidden, "denied")
	if _, calls := r.upstream(); len(calls) != 3 {
		t.Error("a target that is held to a region reached a name of all regions")
	}
}
