package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
)

// keptKey is what the detectors find.
const keptKey = "AKIAIOSFODNN7EXAMPLQ"

// kept is everything that stands in the bucket.
func (r *rig) kept(t *testing.T) string {
	t.Helper()
	kv, err := r.bucket(t).KeyValue(t.Context(), approvals.Bucket)
	must(t, err)
	keys, err := kv.Keys(t.Context())
	must(t, err)
	var b strings.Builder
	for _, key := range keys {
		entry, err := kv.Get(t.Context(), key)
		must(t, err)
		fmt.Fprintf(&b, "%s %s\n", key, entry.Value())
	}
	return b.String()
}

// resultOf is the answer that is kept of an exchange.
func (r *rig) resultOf(t *testing.T, p *event.ApprovalPending) (approvals.Result, bool) {
	t.Helper()
	kv, err := r.bucket(t).KeyValue(t.Context(), approvals.Bucket)
	must(t, err)
	entry, err := kv.Get(t.Context(), "result."+p.RequestID)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return approvals.Result{}, false
	}
	must(t, err)
	var res approvals.Result
	must(t, json.Unmarshal(entry.Value(), &res))
	return res, true
}

// bucket is the state as a gateway may read it.
func (r *rig) bucket(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, URL: r.srv.NATS, CredsFile: filepath.Join(r.state, "nats", "gateway.creds")})
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	return js
}

// What is kept is what the agent gets: masked, without the headers that it never sees,
// and without the credential of the exchange.
func TestKeptAnswerIsMasked(t *testing.T) {
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	p := r.leaves(t, a, a.messages("pending"), s, "inv-1")
	s.answer <- whole("200 OK", jsonOne, `{"Attributes":{"note":{"S":"key `+keptKey+`"}}}`, "Set-Cookie: a=cookie-canary", "X-Amz-Security-Token: token-canary", "Alt-Svc: h3")
	x := r.again(t, "inv-1")
	passed(t, x, http.StatusOK)
	res, ok := r.resultOf(t, p)
	if !ok || string(res.Body) != string(x.body) || res.Status != http.StatusOK {
		t.Errorf("kept %+v, given %s", res, x.body)
	}
	all := r.kept(t) + string(res.Body) + fmt.Sprint(res.Header)
	for _, secret := range []string{keptKey, "cookie-canary", "token-canary", "h3"} {
		if strings.Contains(all, secret) || strings.Contains(fmt.Sprint(x.Header)+string(x.body), secret) {
			t.Errorf("%s is kept or given", secret)
		}
	}
	if got := x.Header["X-Sallyport-Request-Id"]; len(got) != 1 || got[0] == p.RequestID {
		t.Errorf("request id %v", got)
	}
}

// An answer that is too large leaves its status, and the retry is told so. It is not
// sent a second time.
func TestLargeAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	p := r.leaves(t, a, pending, s, "inv-1")
	s.answer <- whole("200 OK", jsonOne, `{"Attributes":{"note":{"S":"`+strings.Repeat("x", approvals.MaxResult)+`"}}}`)
	x := r.again(t, "inv-1")
	refused(t, x, http.StatusForbidden, "pending")
	if text := string(x.body); !strings.Contains(text, "status 200") || !strings.Contains(text, "too large") || !strings.Contains(text, p.RequestID) {
		t.Errorf("%s", text)
	}
	list := r.wantKinds(t, x.id(), event.KindRequest, event.KindDecision)
	if d := data[*event.Decision](t, list); d.OutcomeOf != p.RequestID || d.Effect != "ask" || d.ErrorCode != "pending" {
		t.Errorf("%+v", d)
	}
	refused(t, r.again(t, "inv-2"), http.StatusForbidden, "pending")
	if q := pendingOf(t, pending()); q.Approval == p.Approval {
		t.Error("it is not asked for anew")
	}
	s.sentTimes(t, 1)
}

const askReads = `rules:
  - name: reading
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["s3:GetObject", "secretsmanager:GetSecretValue"]
    effect: ask
    approvers: {groups: [sre]}
`

// object asks for an object and does not wait.
func (r *rig) object(t *testing.T, invocation string) *tunnel {
	t.Helper()
	c := r.tunnel(t, s3Host, r.token())
	_, err := fmt.Fprint(c, c.request(http.MethodGet, "/acme-dev-reports/r.txt", "", "Amz-Sdk-Invocation-Id: "+invocation))
	must(t, err)
	return c
}

// A client that leaves in the middle of a stream: it is read to its end, and kept if it
// was masked. One that passes as it is is not kept anywhere.
func TestStreamIsSeenThrough(t *testing.T) {
	t.Parallel()
	const first = "first lines\n"
	for name, test := range map[string]struct {
		mask, length, rest string
		kept               bool
	}{
		"masked":                    {"mask: {objects: mask}\n", "", "and the rest\n", true},
		"not masked":                {"", "", "and the rest\n", false},
		"of a length that was told": {"mask: {objects: mask}\n", "25", "and the rest\n", true},
		"not masked, of a length":   {"", "25", "and the rest\n", false},
		"all but the end":           {"", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			go1, go2 := make(chan struct{}), make(chan struct{})
			r, s := newScripted(t, rigOptions{policy: askReads, approvals: "hold: 3s", extra: test.mask}, func(w net.Conn, r *http.Request) bool {
				head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				if test.length != "" {
					_, _ = io.WriteString(w, head+"Content-Length: "+test.length+"\r\n\r\n"+first)
				} else {
					_, _ = fmt.Fprintf(w, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", head, len(first), first)
				}
				close(go1)
				<-go2
				if test.length != "" {
					_, _ = io.WriteString(w, test.rest)
				} else if test.rest != "" {
					_, _ = fmt.Fprintf(w, "%x\r\n%s\r\n0\r\n\r\n", len(test.rest), test.rest)
				} else {
					_, _ = io.WriteString(w, "0\r\n\r\n")
				}
				return true
			})
			a := newApprover(t, r)
			pending := a.messages("pending")
			c := r.object(t, "inv-1")
			p := pendingOf(t, pending())
			a.accepted(p, approvals.Allow)
			<-go1
			if test.mask == "" { // with nothing unread a closing client is no error of the next write
				resp, err := http.ReadResponse(c.r, nil)
				must(t, err)
				_, err = io.ReadFull(resp.Body, make([]byte, len(first)))
				must(t, err)
			}
			must(t, c.Close())
			r.waitLog(t, "the call is seen through")
			close(go2)
			x := r.object(t, "inv-2").read(t, http.MethodGet)
			if test.kept {
				given(t, x, http.StatusOK, first+test.rest)
			} else {
				refused(t, x, http.StatusForbidden, "pending")
				if !strings.Contains(string(x.body), "objects are not kept") {
					t.Errorf("%s", x.body)
				}
			}
			if _, ok := r.resultOf(t, p); ok != test.kept {
				t.Errorf("kept: %v", ok)
			}
			list := r.wantKinds(t, p.RequestID, event.KindRequest, event.KindApprovalPending, event.KindApprovalVote, event.KindApprovalOutcome, event.KindDecision, event.KindCredential, event.KindResponse)
			if d := data[*event.Response](t, list); d.ResponseBody.Size != int64(len(first)+len(test.rest)) {
				t.Errorf("%+v", d)
			}
			if n := len(s.calls()); n != 1 {
				t.Errorf("%d calls reached AWS", n)
			}
		})
	}
}

// A stream that breaks off is not an answer to give again.
func TestBrokenStreamIsNotKept(t *testing.T) {
	r, s := newScripted(t, rigOptions{policy: askReads, approvals: "hold: 20s", extra: "mask: {objects: mask}\n"},
		say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nfirst lines\n", false))
	a := newApprover(t, r)
	pending := a.messages("pending")
	c := r.object(t, "inv-1")
	p := pendingOf(t, pending())
	a.accepted(p, approvals.Allow)
	if x := c.read(t, http.MethodGet); x.err == nil {
		t.Errorf("%d %s", x.StatusCode, x.body)
	}
	x := r.object(t, "inv-1").read(t, http.MethodGet)
	refused(t, x, http.StatusForbidden, "pending")
	if !strings.Contains(string(x.body), "could not be passed on") {
		t.Errorf("%s", x.body)
	}
	if _, ok := r.resultOf(t, p); ok {
		t.Error("a part of an answer is kept")
	}
	if n := len(s.calls()); n != 1 {
		t.Errorf("%d calls reached AWS", n)
	}
}

// What a rule lets only the agent have is not kept: no secret gets onto NATS.
func TestUnmaskedAnswerIsNotKept(t *testing.T) {
	policy := strings.Replace(askReads, "effect: ask", "unmask: [SecretString]\n    effect: ask", 1)
	r, s := newSlow(t, rigOptions{policy: policy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	const secret = `{"Name":"prod/db","SecretString":"hunter2-canary"}`
	send := func() *tunnel {
		c := r.tunnel(t, secretsHost, r.token())
		_, err := fmt.Fprint(c, c.request(http.MethodPost, "/", `{"SecretId":"prod/db"}`, append(jsonCall("secretsmanager.GetSecretValue"), "Amz-Sdk-Invocation-Id: inv-1")...))
		must(t, err)
		return c
	}
	c := send()
	p := pendingOf(t, pending())
	a.accepted(p, approvals.Allow)
	s.answer <- whole("200 OK", "application/x-amz-json-1.1", secret)
	given(t, c.read(t, http.MethodPost), http.StatusOK, secret)
	x := send().read(t, http.MethodPost)
	refused(t, x, http.StatusForbidden, "pending")
	if !strings.Contains(string(x.body), "only the agent may see") || strings.Contains(string(x.body), "canary") {
		t.Errorf("%s", x.body)
	}
	if _, ok := r.resultOf(t, p); ok || strings.Contains(r.kept(t), "canary") {
		t.Error("the secret is kept")
	}
	s.sentTimes(t, 1)
}
