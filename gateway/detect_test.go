package gateway_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// Tokens that only detectors know. None is anybody's.
const (
	githubToken = "ghp_1234567890abcdefghijklmnopqrstuvwxyz"
	slackToken  = "xoxb-263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1"
	keyID       = "AKIAQWERTYUIOPASDFGH"
)

// A secret in an answer that no model marks is masked for the agent, and the response
// event says where and by which detector.
func TestDetectorsMaskAnswers(t *testing.T) {
	r, _ := newScripted(t, rigOptions{}, say(whole("200 OK", "application/x-amz-json-1.0",
		`{"Item":{"id":{"S":"c-1001"},"note":{"S":"use `+githubToken+` please"},"doc":{"S":"{\"slack\":\"`+slackToken+`\"}"}}}`), true))
	a := r.tunnel(t, dynamoHost, r.token()).getItem(t)
	passed(t, a, http.StatusOK)
	if want := `{"Item":{"id":{"S":"c-1001"},"note":{"S":"use sallyport/masked please"},"doc":{"S":"{\"slack\":\"sallyport/masked\"}"}}}`; string(a.body) != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	found := data[*event.Response](t, r.exchange(t, a.id())).Findings
	if len(found) != 2 || found[0].Source != "detector" || found[0].Path == "" || found[0].Rule == "" || found[0].Count != 1 {
		t.Errorf("%+v", found)
	}
	withoutTokens(t, r)
}

// What an agent sends reaches AWS as it is, and no record holds the secrets in it,
// wherever they stand: in a parameter, the path, a header, the label, a refusal.
func TestDetectorsMaskWhatIsRecorded(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	put := r.tunnel(t, dynamoHost, token).do(t, http.MethodPost, "/", `{"TableName":"Customers","Item":{"id":{"S":"c-9"},"note":{"S":"`+githubToken+`"}}}`,
		append(jsonCall("DynamoDB_20120810.PutItem"), "User-Agent: tool/"+slackToken)...)
	passed(t, put, http.StatusOK)
	object := r.tunnel(t, s3Host, token).do(t, http.MethodPut, "/acme-dev-reports/"+keyID+".txt", "x", "User-Agent: x")
	passed(t, object, http.StatusOK)
	denied := r.tunnel(t, s3Host, token).do(t, http.MethodDelete, "/bucket-"+strings.ToLower(keyID)+"?x="+githubToken, "")
	if denied.StatusCode < 400 {
		t.Fatal(denied.Status)
	}
	broken := r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/"+githubToken+"/%zz", "")
	if broken.StatusCode < 400 {
		t.Fatal(broken.Status)
	}
	_, calls := r.upstream()
	if len(calls) != 2 || !bytes.Contains(calls[0].Body, []byte(githubToken)) || !strings.Contains(calls[1].Target, keyID) {
		t.Fatalf("AWS got something else: %d calls", len(calls))
	}
	if p := data[*event.Request](t, r.exchange(t, put.id())).RequestParameters; p["TableName"] != "Customers" {
		t.Errorf("%v", p)
	}
	withoutTokens(t, r)
}

// withoutTokens looks for the tokens in NATS, the records, the log and the spool.
func withoutTokens(t *testing.T, r *rig) {
	t.Helper()
	all := recorded(t, r)
	for _, s := range []string{githubToken, slackToken, keyID} {
		for _, form := range []string{s, url.QueryEscape(s)} {
			if bytes.Contains(all, []byte(form)) {
				t.Errorf("%s is on record", form)
			}
		}
	}
}

// Trailers of an answer could repeat what was masked, or its checksum: none goes on.
func TestTrailersAreDropped(t *testing.T) {
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool {
		_, _ = io.Copy(io.Discard, q.Body)
		_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Amz-Checksum-Crc32, X-Secret\r\n\r\n"+
			"2\r\n{}\r\n0\r\nX-Amz-Checksum-Crc32: AAAAAA==\r\nX-Secret: "+githubToken+"\r\n\r\n")
		return err == nil
	})
	for _, a := range []answer{r.tunnel(t, dynamoHost, r.token()).getItem(t), r.tunnel(t, s3Host, r.token()).do(t, http.MethodGet, "/acme-dev-reports/x", "")} {
		passed(t, a, http.StatusOK)
		if len(a.Trailer) > 0 || a.Header.Get("Trailer") != "" {
			t.Errorf("%v", a.Trailer)
		}
	}
}
