package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// eachEndsOnce checks in the records of a rig that was closed that every request ended,
// and once: in its answer, broken off, or refused by a decision.
func (r *rig) eachEndsOnce() {
	r.t.Helper()
	dir := filepath.Join(r.state, "records")
	list, _, err := recorder.Records{Dir: dir}.List()
	if errors.Is(err, os.ErrNotExist) || len(list) == 0 {
		return
	}
	if err != nil {
		r.t.Error(err)
	}
	for _, summary := range list {
		s, err := recorder.Records{Dir: dir}.Read(summary.Session)
		if err != nil {
			r.t.Error(err)
			continue
		}
		ends, requests := map[string][]event.Kind{}, map[string]bool{}
		for _, e := range s.Events {
			if e.Kind() == event.KindRequest {
				requests[e.Exchange()] = true
			}
			if event.Ends(e.Data) {
				ends[e.Exchange()] = append(ends[e.Exchange()], e.Kind())
			}
		}
		for id := range requests {
			if len(ends[id]) != 1 {
				r.t.Errorf("request %s of session %s has the ends %v", id, summary.Session, ends[id])
			}
		}
		for id := range ends {
			if !requests[id] {
				r.t.Errorf("%s has an end, and no request", id)
			}
		}
	}
}

// digestOf is what the event of a body of this text has.
func digestOf(text string) event.Digest {
	sum := sha256.Sum256([]byte(text))
	return event.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
}

// Whichever way an exchange breaks off, it is on record with what had gone both ways.
func TestBrokenOff(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
	for name, test := range map[string]struct {
		answer func(w net.Conn, q *http.Request, stop func())
		body   string // of an upload
		length int    // that is declared, 0: the body's
		leaves bool   // the client leaves once it has the answer's first bytes

		stage, passed, sent string
		whole               bool // all of the upload was sent
		status              int
		cause               string
	}{
		"AWS breaks off": {answer: func(w net.Conn, _ *http.Request, _ func()) { _, _ = io.WriteString(w, head+"hello") },
			stage: "answer", status: 200, passed: "hello", cause: "AWS broke"},
		"the client leaves": {leaves: true, answer: func(w net.Conn, _ *http.Request, _ func()) {
			_, _ = io.WriteString(w, head+"hello")
			_, _ = w.Read(make([]byte, 1)) // until the gateway closes
		}, stage: "answer", status: 200, passed: "hello", cause: "client"},
		"the gateway stops": {answer: func(w net.Conn, _ *http.Request, stop func()) {
			_, _ = io.WriteString(w, head+"hello")
			stop()
			_, _ = w.Read(make([]byte, 1))
		}, stage: "answer", status: 200, passed: "hello", cause: "stopped"},
		"the gateway stops before an answer": {answer: func(w net.Conn, _ *http.Request, stop func()) {
			stop()
			_, _ = w.Read(make([]byte, 1))
		}, stage: "send", cause: "stopped"},
		"the upload breaks off": {body: "hello", length: 1000, answer: func(w net.Conn, q *http.Request, _ func()) { _, _ = io.Copy(io.Discard, q.Body) },
			stage: "send", sent: "hello"},
		"AWS breaks off behind an upload": {body: "hello", answer: func(w net.Conn, q *http.Request, _ func()) {
			_, _ = io.Copy(io.Discard, q.Body)
			_, _ = io.WriteString(w, head+"bye")
		}, stage: "mask", status: 200, sent: "hello", whole: true, cause: "broke off"}, // a document is passed on whole or not
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stop := make(chan struct{})
			r, _ := newScripted(t, rigOptions{drain: 100 * time.Millisecond}, func(w net.Conn, q *http.Request) bool {
				test.answer(w, q, func() { close(stop) })
				return false
			})
			c := r.tunnel(t, s3Host, r.token())
			request := c.request(http.MethodGet, "/acme-dev-reports/k", "")
			if test.body != "" {
				length := max(test.length, len(test.body))
				request = c.request(http.MethodPut, "/acme-dev-reports/k", strings.Repeat("x", length), "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")
				request = strings.TrimRight(request, "x") + test.body
			}
			_, err := io.WriteString(c, request)
			must(t, err)
			if test.length > 0 {
				must(t, c.CloseWrite())
			}
			if test.leaves {
				resp, err := http.ReadResponse(c.r, nil)
				must(t, err)
				_, err = io.ReadFull(resp.Body, make([]byte, 5))
				must(t, err)
				must(t, c.Close())
			}
			if strings.HasPrefix(name, "the gateway stops") {
				<-stop
				if err := r.srv.Close(); err == nil {
					t.Error("the gateway did not break anything off")
				}
				r.srv = nil
			} else {
				r.follow(t, "sallyport.events.*.*.aborted", func(event.Event) bool { return true })
				r.close()
			}
			r.eachEndsOnce()
			list := r.fromRecords(t)
			d := data[*event.Aborted](t, list)
			if d.Stage != test.stage || d.Status != test.status || !strings.Contains(d.ErrorMessage, test.cause) {
				t.Errorf("%+v", d)
			}
			wantDigest(t, "passed", d.ResponseBody, test.passed)
			wantDigest(t, "sent", d.RequestBody, test.sent)
			if rec := d.ResponseBodyRecorded; test.passed != "" && (rec == nil || rec.Omitted != event.OmittedBroken) {
				t.Errorf("of the answer is on record %+v", rec)
			}
			if rec := d.RequestBodyRecorded; test.sent != "" && (rec == nil || (rec.Omitted == "") != test.whole) {
				t.Errorf("of the upload is on record %+v", rec)
			}
		})
	}
}

func wantDigest(t *testing.T, what string, got *event.Digest, want string) {
	t.Helper()
	if want == "" && got == nil {
		return
	}
	if d := digestOf(want); got == nil || *got != d {
		t.Errorf("%s: %+v, want %+v", what, got, d)
	}
}

// fromRecords is every event on record, when the gateway was closed.
func (r *rig) fromRecords(t *testing.T) []event.Event {
	t.Helper()
	dir := filepath.Join(r.state, "records")
	list, _, err := recorder.Records{Dir: dir}.List()
	must(t, err)
	var out []event.Event
	for _, summary := range list {
		s, err := recorder.Records{Dir: dir}.Read(summary.Session)
		must(t, err)
		out = append(out, s.Events...)
	}
	return out
}

// A client that leaves an answer which is on record already does not end the exchange
// a second time: what it could have had is what the response event says.
func TestClientLeavesARecordedAnswer(t *testing.T) {
	document := `{"Item":{"n":{"S":"` + strings.Repeat("x", 12<<20) + `"}}}`
	r, _ := newScripted(t, rigOptions{}, say(whole("200 OK", "application/x-amz-json-1.0", document), true))
	c := r.tunnel(t, dynamoHost, r.token())
	_, err := io.WriteString(c, c.request(http.MethodPost, "/", getItem, jsonCall("DynamoDB_20120810.GetItem")...))
	must(t, err)
	r.follow(t, "sallyport.events.*.*.response", func(event.Event) bool { return true })
	must(t, c.Close()) // it has read nothing, and the gateway still writes
	r.close()
	list := r.fromRecords(t)
	if d := data[*event.Response](t, list); d.ResponseBody.Size != int64(len(document)) || d.ResponseBodyRecorded.Omitted != event.OmittedLimit {
		t.Errorf("%+v", d)
	}
}
