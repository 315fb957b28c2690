package gateway_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
)

// Whatever is wrong with STS, nothing but STS is reached, and the exchange is on
// record as broken off before its credential.
func TestSTSFails(t *testing.T) {
	for name, test := range map[string]struct {
		faults awstest.Faults
		status int
		reason string
	}{
		"down":          {awstest.Faults{STSDown: true}, 503, "unavailable"},
		"unavailable":   {awstest.Faults{STSUnavailable: true}, 503, "unavailable"},
		"throttled":     {awstest.Faults{STSThrottle: 10}, 503, "unavailable"},
		"denied":        {awstest.Faults{STSDenied: true}, 403, "credentials"},
		"stale":         {awstest.Faults{StaleExpiration: true}, 503, "unavailable"},
		"wrong account": {awstest.Faults{WrongAccount: true}, 403, "credentials"},
		"empty":         {awstest.Faults{EmptyCredentials: true}, 503, "unavailable"},
		"truncated":     {awstest.Faults{Truncate: true}, 503, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{})
			r.aws.SetFaults(test.faults)
			c := r.tunnel(t, dynamoHost, r.token())
			a := c.getItem(t)
			refused(t, a, test.status, test.reason)
			if _, calls := r.upstream(); len(calls) != 0 {
				t.Errorf("%d calls were sent without a good credential", len(calls))
			}
			d := data[*event.Aborted](t, r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindAborted))
			if d.Stage != "credential" || d.ErrorCode != test.reason {
				t.Errorf("%+v", d)
			}
			r.aws.SetFaults(awstest.Faults{})
			passed(t, c.getItem(t), http.StatusOK)
		})
	}
}

// A client that leaves while STS thinks is on record, and nothing is sent for it.
func TestClientLeavesBeforeTheCredential(t *testing.T) {
	r := newRig(t, rigOptions{})
	gate, arrived := make(chan struct{}), make(chan struct{}, 8)
	r.aws.SetFaults(awstest.Faults{STSGate: gate, Before: func(*awstest.Received) { arrived <- struct{}{} }})
	c := r.tunnel(t, dynamoHost, r.token())
	_, err := io.WriteString(c, c.request(http.MethodPost, "/", getItem, jsonCall("DynamoDB_20120810.GetItem")...))
	must(t, err)
	<-arrived
	must(t, c.Close())
	list := r.follow(t, "sallyport.events.*.*.aborted", func(event.Event) bool { return true })
	if d := list[0].Data.(*event.Aborted); d.Stage != "credential" {
		t.Errorf("%+v", d)
	}
	if _, calls := r.upstream(); len(calls) != 0 {
		t.Errorf("%d calls were sent for a client that had left", len(calls))
	}
}

const canary = "RAW-ANSWER-CANARY-9d1"

// An answer that should be masked and cannot be is withheld, every byte of it.
func TestMaskFails(t *testing.T) {
	const kind = "application/x-amz-json-1.1"
	secret := `{"Name":"` + canary + `","SecretString":"` + canary + `"}`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(bytes.Repeat([]byte(" "), 1<<20))
	must(t, err)
	must(t, z.Close())
	var answerWith string
	r, s := newScripted(t, rigOptions{extra: "mask: {max_body: 64KiB}"}, func(w net.Conn, q *http.Request) bool {
		return say(answerWith, !strings.Contains(answerWith, "Length: 5000"))(w, q)
	})
	token := r.token()
	for name, text := range map[string]string{
		"broken off":        fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 5000\r\n\r\n%s", kind, secret),
		"not JSON":          whole("200 OK", kind, secret[:len(secret)-2]),
		"two documents":     whole("200 OK", kind, secret+secret),
		"an unknown coding": whole("200 OK", kind, secret, "Content-Encoding: br"),
		"too long":          whole("200 OK", kind, `{"SecretString":"`+strings.Repeat(canary, 8<<10)+`"}`),
		"too long, chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat(canary[:16], 8<<10) + "\r\n0\r\n\r\n",
		"a gzip bomb":       whole("200 OK", kind, zipped.String(), "Content-Encoding: gzip"),
		"bad chunks":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n" + canary + "\r\n",
		"HTML":              whole("200 OK", "text/html", "<html>"+canary+"</html>"),
	} {
		t.Run(name, func(t *testing.T) {
			answerWith = text
			a := r.tunnel(t, secretsHost, token).getSecret(t)
			refused(t, a, http.StatusBadGateway, "masking")
			if all := fmt.Sprint(a.Header, string(a.body), r.log.String()); strings.Contains(all, canary[:16]) {
				t.Errorf("raw bytes of the answer got out: %s", all)
			}
			d := data[*event.Aborted](t, r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted))
			if d.Stage != "mask" || d.ErrorCode != "masking" || strings.Contains(d.ErrorMessage, canary[:16]) {
				t.Errorf("%+v", d)
			}
		})
	}
	if len(s.calls()) == 0 {
		t.Error("nothing was asked")
	}
}

// A secret that is masked cannot be had piece by piece, or compared with a guess.
func TestMaskedAnswersAreAskedForWhole(t *testing.T) {
	r := newRig(t, rigOptions{})
	a := r.tunnel(t, secretsHost, r.token()).do(t, http.MethodPost, "/", `{"SecretId":"prod/db"}`,
		append(jsonCall("secretsmanager.GetSecretValue"), "Range: bytes=0-9", "If-None-Match: \"guess\"", "Accept-Encoding: br")...)
	passed(t, a, http.StatusOK)
	_, calls := r.upstream()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	for _, name := range []string{"Range", "If-None-Match"} {
		if v := calls[0].Header.Get(name); v != "" {
			t.Errorf("%s: %s reached AWS", name, v)
		}
	}
	if v := calls[0].Header.Get("Accept-Encoding"); strings.Contains(v, "br") {
		t.Errorf("Accept-Encoding: %s reached AWS", v)
	}
}

// Error texts of AWS repeat what was signed: key ids, tokens, signatures.
func TestErrorsAreScrubbed(t *testing.T) {
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool {
		_, _ = io.Copy(io.Discard, q.Body)
		auth := q.Header.Get("Authorization")
		_, key, _ := strings.Cut(auth, "Credential=")
		key, _, _ = strings.Cut(key, "/")
		_, sig, _ := strings.Cut(auth, "Signature=")
		token := q.Header.Get("X-Amz-Security-Token")
		_, _ = io.WriteString(w, whole("403 Forbidden", "application/xml", "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><AWSAccessKeyId>"+key+
			"</AWSAccessKeyId><SignatureProvided>"+sig+"</SignatureProvided><StringToSign>AWS4-HMAC-SHA256 x-amz-security-token:"+token+"</StringToSign></Error>"))
		return true
	})
	token := r.token()
	for _, a := range []answer{
		r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/acme-dev-reports/2026/q3.csv", ""),
		r.tunnel(t, ec2Host, token).form(t, "Action=DescribeRegions&Version=2016-11-15"), // has nothing to mask
	} {
		passed(t, a, http.StatusForbidden)
		id := data[*event.Credential](t, r.exchange(t, a.id())).AccessKeyID
		key, ok := r.aws.Key(id)
		if !ok || !strings.Contains(string(a.body), "SignatureDoesNotMatch") {
			t.Fatalf("%s", a.body)
		}
		for _, secret := range []string{key.ID, key.Token, key.Secret} {
			if strings.Contains(string(a.body), secret) {
				t.Errorf("%s is in %s", secret, a.body)
			}
		}
	}
}

// What AWS says about the connection is not for the agent, and a switch of
// protocols is not carried.
func TestAnswerHeaders(t *testing.T) {
	var answerWith string
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool { return say(answerWith, true)(w, q) })
	token := r.token()
	answerWith = whole("200 OK", "text/plain", "hello", "Set-Cookie: a=b", "Alt-Svc: h3=\":443\"", "Proxy-Authenticate: Basic", "Keep-Alive: timeout=5",
		"X-Sallyport-Request-Id: forged", "ETag: \"e\"", "x-amz-request-id: REQ1")
	a := r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/acme-dev-reports/k", "")
	passed(t, a, http.StatusOK)
	for _, name := range []string{"Set-Cookie", "Alt-Svc", "Proxy-Authenticate", "Keep-Alive"} {
		if a.Header.Get(name) != "" {
			t.Errorf("%s: %s came through", name, a.Header.Get(name))
		}
	}
	if a.id() == "forged" || a.Header.Get("Etag") != `"e"` || string(a.body) != "hello" {
		t.Errorf("%v %s", a.Header, a.body)
	}
	if d := data[*event.Response](t, r.exchange(t, a.id())); d.AWSRequestID != "REQ1" || d.Status != 200 || d.ResponseBody.Size != 5 {
		t.Errorf("%+v", d)
	}
	answerWith = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	a = r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/acme-dev-reports/k", "")
	refused(t, a, http.StatusServiceUnavailable, "unavailable")
	answerWith = "nonsense\r\n\r\n"
	refused(t, r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/acme-dev-reports/k", ""), http.StatusServiceUnavailable, "unavailable")
}

// An answer that AWS breaks off must not look complete.
func TestUpstreamTruncates(t *testing.T) {
	for name, text := range map[string]string{
		"by length": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello",
		"by chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		r, _ := newScripted(t, rigOptions{}, say(text, false))
		a := r.tunnel(t, s3Host, r.token()).do(t, http.MethodGet, "/acme-dev-reports/k", "")
		if a.StatusCode != http.StatusOK || a.err == nil || string(a.body) != "hello" {
			t.Errorf("%s: %d %q, read error %v: want the connection cut", name, a.StatusCode, a.body, a.err)
		}
		list := r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted)
		if d := data[*event.Aborted](t, list); d.Stage != "answer" || !strings.Contains(d.ErrorMessage, "AWS broke") {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// A client that leaves in the middle of a download ends AWS's side too, and is on
// record.
func TestClientLeavesMidDownload(t *testing.T) {
	ended := make(chan struct{})
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool {
		defer close(ended)
		_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return false
			}
		}
	})
	c := r.tunnel(t, s3Host, r.token())
	_, err := io.WriteString(c, c.request(http.MethodGet, "/acme-dev-reports/k", ""))
	must(t, err)
	_, err = io.CopyN(io.Discard, c, 1<<20)
	must(t, err)
	must(t, c.Close())
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("AWS's side goes on")
	}
	list := r.follow(t, "sallyport.events.*.*.aborted", func(event.Event) bool { return true })
	if d := list[0].Data.(*event.Aborted); d.Stage != "answer" || !strings.Contains(d.ErrorMessage, "client") {
		t.Errorf("%+v", d)
	}
}
