package gateway_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
)

// Nothing is sent before it is on record: at the moment AWS sees the first byte
// of the AssumeRole, the request and its decision are in the stream already, and
// at the call itself the credential is.
func TestRecordComesFirst(t *testing.T) {
	r := newRig(t, rigOptions{})
	arrived, goOn := make(chan string), make(chan struct{})
	r.aws.SetFaults(awstest.Faults{Before: func(x *awstest.Received) {
		arrived <- x.Host
		<-goOn
	}})
	c := r.tunnel(t, dynamoHost, r.token())
	_, err := io.WriteString(c, c.request(http.MethodPost, "/", getItem, jsonCall("DynamoDB_20120810.GetItem")...))
	must(t, err)
	for _, step := range []struct {
		host string
		want []event.Kind
	}{
		{stsHost, []event.Kind{event.KindSessionOpened, event.KindRequest, event.KindDecision}},
		{dynamoHost, []event.Kind{event.KindSessionOpened, event.KindRequest, event.KindDecision, event.KindCredential}},
	} {
		if host := <-arrived; host != step.host {
			t.Errorf("%s was asked, want %s", host, step.host)
		}
		if got := kinds(r.stored(t, "sallyport.events.>")); !slices.Equal(got, step.want) {
			t.Errorf("when %s was asked, the stream held %v, want %v", step.host, got, step.want)
		}
		goOn <- struct{}{}
	}
	passed(t, c.read(t, http.MethodPost), http.StatusOK)
}

// NATS goes away at each moment of a request. What was not yet sent is not sent.
func TestRecordFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		stop  string // the host at whose request NATS stops; "" is before everything
		calls int    // that reached AWS and are not AssumeRole
		sts   int
		open  bool // the session was there already
	}{
		{"before a session", "", 0, 0, false},
		{"before the request", "", 0, 0, true},
		{"before the credential", stsHost, 0, 1, true},
		{"before the answer", dynamoHost, 1, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, rigOptions{externalBus: true})
			c := r.tunnel(t, dynamoHost, r.token())
			if test.open {
				passed(t, c.getItem(t), http.StatusOK)
				r.aws.Forget()
			}
			if test.stop == "" {
				r.bus.Shutdown()
			}
			r.aws.SetFaults(awstest.Faults{Before: func(x *awstest.Received) {
				if x.Host == test.stop {
					r.bus.Shutdown()
				}
			}})
			a := c.getItem(t)
			refused(t, a, http.StatusServiceUnavailable, "unavailable")
			if !strings.Contains(string(a.body), "record") || strings.Contains(string(a.body), "Ada Example") {
				t.Errorf("%s", a.body)
			}
			sts, calls := r.upstream()
			if len(sts) != test.sts || len(calls) != test.calls {
				t.Errorf("AWS saw %d AssumeRole and %d calls, want %d and %d", len(sts), len(calls), test.sts, test.calls)
			}
			// Without a record not even a second try goes out.
			r.aws.Forget()
			refused(t, c.getItem(t), http.StatusServiceUnavailable, "unavailable")
			r.nothingSent(t)
		})
	}
}

// mayArrive are the headers that a forwarded request can have at AWS.
var mayArrive = []string{
	"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Content-Type", "Content-Md5", "Content-Encoding", "Range", "If-None-Match", "If-Match", "Accept",
	"X-Amz-Target", "X-Amz-Meta-A", "X-Amz-Checksum-Crc32", "X-Amz-Acl", "X-Amz-Expected-Bucket-Owner", "Cache-Control",
	"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Authorization", // ours
}

// What AWS receives is what was judged: whatever the bytes of key, query, headers
// and body, they arrive as they were sent, or nothing does.
func TestJudgedBytesAreSentBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	pieces := []string{"a", "/", "//", "..", ".", "%2F", "%2f", "%2E%2E", "%20", "+", "%2B", "%25", "%2525", "~", "%7E", "(", "'", "*", "!", ":", "@", "=", "&", ";", ",", "$",
		"%C3%A9", "%00", "%0D%0A", "%FF", "%5C", "|", "^", "[", "]", "\"", "{", "é", "%", "%zz", "%E2%80%AE"}
	headers := []string{"X-Amz-Meta-A: v1", "Range: bytes=0-3", "If-None-Match: \"x\"", "Cookie: session=client-cookie", "X-Forwarded-For: 203.0.113.9",
		"X-Amz-Security-Token: client-session-token", "X-Amz-Date: 20200101T000000Z", "Origin: https://evil.example", "X-Custom: 1", "Accept: */*",
		"Proxy-Authorization: Basic Y2xpZW50", "Via: 1.1 x", "Te: trailers", "X-Amzn-Trace-Id: Root=1", "Accept-Encoding: gzip", "Connection: keep-alive", "Cache-Control: no-cache"}
	c := r.tunnel(t, s3Host, r.token())
	sent, refusals := 0, 0
	for i := range 250 {
		target := "/acme-dev-reports/"
		for range 1 + rnd.IntN(5) {
			target += pieces[rnd.IntN(len(pieces))]
		}
		if rnd.IntN(4) == 0 {
			target += "?x-id=GetObject"
		}
		method, body := http.MethodGet, ""
		var header []string
		if rnd.IntN(2) == 0 {
			method, body = http.MethodPut, strings.Repeat("b", rnd.IntN(2000))+string(rune(rnd.IntN(0x10000)))
			target = strings.TrimSuffix(target, "?x-id=GetObject")
			header = append(header, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")
		}
		for range rnd.IntN(4) {
			if h := headers[rnd.IntN(len(headers))]; !slices.Contains(header, h) {
				header = append(header, h)
			}
		}
		r.aws.Forget()
		a := c.do(t, method, target, body, header...)
		_, calls := r.upstream()
		what := fmt.Sprintf("request %d: %s %s %q", i, method, target, header)
		if a.StatusCode == http.StatusBadRequest && a.id() == "" {
			// net/http's own refusal, which ends the connection
			c = r.tunnel(t, s3Host, r.token())
		}
		if len(calls) == 0 {
			refusals++
			r.nothingSent(t)
			if a.StatusCode < 400 {
				t.Fatalf("%s: %d, and nothing at AWS", what, a.StatusCode)
			}
			continue
		}
		sent++
		x := calls[0]
		if len(calls) != 1 || x.Method != method || x.Target != target || x.Host != s3Host || string(x.Body) != body {
			t.Fatalf("%s\narrived as %d: %s %s at %s, %d bytes", what, len(calls), x.Method, x.Target, x.Host, x.BodyLength)
		}
		if x.ErrorCode == "SignatureDoesNotMatch" || x.ErrorCode == "AccessDenied" {
			t.Errorf("%s: AWS reads another resource than was judged: %s", what, x.ErrorCode)
		}
		for name := range x.Header {
			if !slices.Contains(mayArrive, name) {
				t.Errorf("%s: header %s: %q arrived", what, name, x.Header[name])
			}
		}
		wantNoClientCredentials(t, x)
		if req := data[*event.Request](t, r.exchange(t, a.id())); req.Path != strings.TrimSuffix(target, "?x-id=GetObject") || req.Host != x.Host || req.Method != method {
			t.Errorf("%s: on record %s %s%s", what, req.Method, req.Host, req.Path)
		}
	}
	t.Logf("%d sent, %d refused", sent, refusals)
	if sent < 60 || refusals < 20 {
		t.Errorf("too few of one kind to mean anything: %d sent, %d refused", sent, refusals)
	}
}

func wantNoClientCredentials(t *testing.T, x awstest.Received) {
	t.Helper()
	head := string(x.Head)
	for _, canary := range []string{placeholderSecret, clientSignature, "Credential=dev/", "client-session-token", "client-cookie", "Proxy-", "20200101T", "eyJ"} {
		if strings.Contains(head, canary) {
			t.Errorf("%q reached AWS:\n%s", canary, head)
		}
	}
}

// No credential crosses the gateway in either direction, and no secret value is
// anywhere but at AWS.
func TestCanaries(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	var got strings.Builder // everything that the agent received
	collect := func(a answer) answer {
		fmt.Fprintf(&got, "%v\n%s\n", a.Header, a.body)
		return a
	}
	c := r.tunnel(t, secretsHost, token)
	a := collect(c.getSecret(t))
	passed(t, a, http.StatusOK)
	if !strings.Contains(string(a.body), "sallyport/masked") {
		t.Errorf("%s", a.body)
	}
	collect(c.do(t, http.MethodPost, "/", `{"SecretId":"prod/none"}`, jsonCall("secretsmanager.GetSecretValue")...))
	d := r.tunnel(t, dynamoHost, token)
	passed(t, collect(d.getItem(t)), http.StatusOK)
	s := r.tunnel(t, s3Host, token)
	collect(s.do(t, http.MethodGet, "/partner-exfil/inbox/readme.txt", ""))
	collect(s.do(t, http.MethodGet, "/acme-dev-reports/2026/q3.csv", ""))
	collect(s.do(t, http.MethodGet, "/acme-dev-reports/nothing", "", "X-Amz-Security-Token: client-session-token", "Cookie: client-cookie"))
	r.aws.SetFaults(awstest.Faults{STSDenied: true})
	collect(d.getItem(t))
	r.aws.SetFaults(awstest.Faults{})

	requests := r.aws.Requests()
	secrets := []string{awstest.BaseSecret, token, "correct-horse-battery-staple", "078-05-1120", placeholderSecret}
	keys := 0
	for _, x := range requests {
		wantNoClientCredentials(t, x)
		if k, ok := r.aws.Key(x.KeyID); ok && strings.HasPrefix(x.KeyID, "ASIA") {
			secrets = append(secrets, k.Secret, k.Token)
			keys++
		}
	}
	if keys < 6 {
		t.Fatalf("only %d minted keys were used", keys)
	}
	r.close()
	files := 0
	places := map[string]string{"the log": r.log.String(), "what the agent got": got.String()}
	must(t, filepath.WalkDir(r.state, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		places[path] = string(b)
		files++
		return err
	}))
	if files < 8 || !strings.Contains(strings.Join(slices.Collect(maps.Values(places)), ""), "acme-dev-reports") {
		t.Fatalf("%d files searched, and no record in them", files)
	}
	for place, text := range places {
		for _, secret := range secrets {
			for _, form := range []string{secret, url.QueryEscape(secret), strings.ReplaceAll(secret, "/", `\/`)} {
				if strings.Contains(text, form) {
					t.Errorf("%s holds %q", place, form)
				}
			}
		}
	}
	// What the agent gets has no access key id of the gateway's either.
	for _, x := range requests {
		if x.KeyID != "" && strings.Contains(got.String(), x.KeyID) {
			t.Errorf("the agent got the access key id %s", x.KeyID)
		}
	}
}

// Two identities never share a connection to AWS, nor one with STS.
func TestConnectionsBelongToOneIdentity(t *testing.T) {
	r, s := newScripted(t, rigOptions{}, nil)
	owner := map[int]string{}
	type agent struct {
		name string
		c    *tunnel
	}
	agents := []agent{
		{"one", r.tunnel(t, dynamoHost, r.tokenOf("one", "ai-agents"))},
		{"two", r.tunnel(t, dynamoHost, r.tokenOf("two", "ai-agents"))},
	}
	for range 4 {
		for _, a := range agents {
			before := len(s.calls())
			passed(t, a.c.getItem(t), http.StatusOK)
			calls := s.calls()[before:]
			if len(calls) != 1 {
				t.Fatalf("%d calls", len(calls))
			}
			if o := owner[calls[0].conn]; o != "" && o != a.name {
				t.Errorf("connection %d carried requests of %s and of %s", calls[0].conn, o, a.name)
			}
			owner[calls[0].conn] = a.name
		}
	}
	if len(owner) != 2 {
		t.Errorf("%d connections, want one for each identity, used again", len(owner))
	}
	for _, x := range s.seen {
		if strings.HasPrefix(x.host, "sts.") && owner[x.conn] != "" {
			t.Errorf("the gateway's own STS call went over %s's connection", owner[x.conn])
		}
	}
}
