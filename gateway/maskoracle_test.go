package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// maskSample is one line of the masking oracle: an answer of AWS made by botocore's
// own serializers, with a canary in every secret member and a marker in every other.
type maskSample struct {
	Identity struct{ Service, Operation, Protocol, Kind string }
	Request  struct {
		Method     string
		URL        string
		Headers    map[string]string
		BodyBase64 []byte
	}
	Response struct {
		Status     int
		Headers    map[string]string
		BodyBase64 []byte
	}
	Expect  struct{ MustDisappear, MustSurvive []maskLeaf }
	Variant struct{ Style string }
}

type maskLeaf struct {
	Path string
	Wire []any // text, or {"base64": ...}
}

func (l maskLeaf) forms() [][]byte {
	var out [][]byte
	for _, w := range l.Wire {
		switch w := w.(type) {
		case string:
			out = append(out, []byte(w))
		case map[string]any:
			s, _ := w["base64"].(string)
			if b, err := base64.StdEncoding.DecodeString(s); err == nil {
				out = append(out, b)
			}
		}
	}
	return out
}

const everything = `rules:
  - {name: all, who: {groups: [ai-agents]}, targets: ["*"], actions: ["*"], effect: allow, allow_credentials: true, scope: action}
risk: {ask_at: 101, deny_at: 101}
`

// TestMaskOracle sends answers of every protocol through the whole gateway, which
// AWS writes one byte at a time and in chunks, and looks for canaries in what the
// agent, NATS, the records, the log and the spool got. SALLYPORT_MASK_ORACLE names a
// larger file of the same form.
func TestMaskOracle(t *testing.T) {
	t.Parallel()
	t.Run("masked", func(t *testing.T) {
		t.Parallel()
		maskOracle(t, everything, false)
	})
	// What a rule gives to the agent is masked in the record all the same.
	t.Run("given", func(t *testing.T) {
		t.Parallel()
		maskOracle(t, strings.Replace(everything, "scope: action", `scope: action, unmask: ["*"]`, 1), true)
	})
}

func maskOracle(t *testing.T, policy string, given bool) {
	t.Helper()
	name := or(os.Getenv("SALLYPORT_MASK_ORACLE"), "testdata/mask.jsonl.gz")
	file, err := os.Open(name)
	must(t, err)
	defer func() { _ = file.Close() }()
	z, err := gzip.NewReader(file)
	must(t, err)
	var now maskSample
	n := 0
	r, _ := newScripted(t, rigOptions{policy: policy, targets: `
  dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev", accounts: ["111122223333", "123456789012"], default: true}
`}, func(w net.Conn, q *http.Request) bool {
		_, _ = io.Copy(io.Discard, q.Body)
		return trickle(w, &now, n)
	})
	token := r.token()
	counts := map[string]int{}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 64<<20)
	for ; sc.Scan(); n++ {
		now = maskSample{}
		must(t, json.Unmarshal(sc.Bytes(), &now))
		if why := now.skip(); why != "" {
			counts[why]++
			continue
		}
		a := now.send(t, r, token)
		if given && a.Response == nil && now.Identity.Kind == "eventstream" {
			counts["cut: an event's payload that is unmasked is not looked at"]++
			continue
		}
		what := fmt.Sprintf("%s.%s %s %s", now.Identity.Service, now.Identity.Operation, now.Identity.Protocol, now.Variant.Style)
		if a.Response == nil {
			t.Fatalf("%s: no answer: %v", what, a.err)
		}
		if why := a.reason(); why != "" {
			counts["refused as "+why]++
			t.Logf("%s: refused: %s", what, a.body)
			if why != "unidentified" && why != "credentials" { // the whole oracle names calls of too many resources
				t.Errorf("%s: %s", what, a.body)
			}
			continue
		}
		problem := now.check(a)
		if given && strings.HasPrefix(problem, "the canary") {
			counts["given"]++
		} else if problem != "" {
			t.Errorf("%s: %s", what, problem)
		}
		counts[now.Identity.Protocol+" "+now.Identity.Kind+" "+now.Variant.Style]++
	}
	must(t, sc.Err())
	t.Log(n, counts)
	if given && counts["given"] < 100 {
		t.Errorf("the agent got %d canaries: too few to mean anything", counts["given"])
	}
	everywhere := recorded(t, r)
	for _, s := range canaries {
		if i := bytes.Index(everywhere, []byte(s)); i >= 0 {
			t.Errorf("%q is in an event, a record, the log or the spool", everywhere[max(0, i-80):min(len(everywhere), i+40)])
		}
	}
}

// canaries begin the oracle's secrets, as text and in base64.
var canaries = []string{"SECRET-", "U0VDUkVU"}

// skip says why a sample cannot be played through the gateway.
func (s *maskSample) skip() string {
	switch {
	case s.Request.URL == "":
		return "without a request"
	case s.Identity.Service == "sts":
		return "the gateway's own STS calls go to the same host"
	case s.Identity.Service == "signin":
		return "the console's host, to which there is no tunnel"
	case strings.Contains(s.Request.Headers["Content-Encoding"], "aws-chunked"):
		return "the request's body is not the one that its headers tell of"
	}
	return ""
}

// trickle writes the sample's answer one byte at a time, every other one in chunks.
func trickle(w net.Conn, s *maskSample, n int) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d OK\r\n", s.Response.Status)
	chunked := n%2 == 0
	for k, v := range s.Response.Headers {
		if k != "Content-Length" || !chunked {
			fmt.Fprintf(&b, "%s: %s\r\n", k, v)
		}
	}
	body := s.Response.BodyBase64
	if chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			k := min(len(body), 1+len(body)%7)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", k, body[:k])
			body = body[k:]
		}
		b.WriteString("0\r\n\r\n")
	} else {
		b.WriteString("\r\n")
		b.Write(body)
	}
	if s.Request.Method == http.MethodHead {
		b.Truncate(bytes.Index(b.Bytes(), []byte("\r\n\r\n")) + 4)
	}
	for i := range b.Len() {
		if i > 4096 { // enough of that
			_, err := w.Write(b.Bytes()[i:])
			return err == nil
		}
		if _, err := w.Write(b.Bytes()[i : i+1]); err != nil {
			return false
		}
	}
	return true
}

func (s *maskSample) send(t *testing.T, r *rig, token string) answer {
	t.Helper()
	u, err := url.Parse(s.Request.URL)
	must(t, err)
	_, rest, _ := strings.Cut(s.Request.URL, "://")
	target := "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		target = rest[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	if s.Identity.Protocol == "smithy-rpc-v2-cbor" {
		target = s.inCBOR(t)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", s.Request.Method, target, u.Host)
	for k, v := range s.Request.Headers {
		if !strings.EqualFold(k, "Host") && !strings.EqualFold(k, "Content-Length") && !strings.EqualFold(k, "Expect") {
			fmt.Fprintf(&b, "%s: %s\r\n", k, v)
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(s.Request.BodyBase64))
	b.Write(s.Request.BodyBase64)
	c := r.tunnel(t, strings.ToLower(u.Host), token)
	defer func() { _ = c.Close() }()
	_, err = c.Write(b.Bytes())
	must(t, err)
	resp, err := http.ReadResponse(c.r, &http.Request{Method: s.Request.Method})
	if err != nil {
		return answer{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp, body, err}
}

// inCBOR makes the request one of the protocol that its answer has: botocore sends
// JSON to services that speak both.
func (s *maskSample) inCBOR(t *testing.T) (target string) {
	t.Helper()
	var v any
	must(t, json.Unmarshal(s.Request.BodyBase64, &v))
	body, err := cbor.Marshal(v)
	must(t, err)
	prefix, _, _ := strings.Cut(s.Request.Headers["X-Amz-Target"], ".")
	delete(s.Request.Headers, "X-Amz-Target")
	s.Request.BodyBase64 = body
	s.Request.Headers["Smithy-Protocol"], s.Request.Headers["Content-Type"] = "rpc-v2-cbor", "application/cbor"
	return "/service/" + prefix + "/operation/" + s.Identity.Operation
}

func (s *maskSample) check(a answer) string {
	if a.Response == nil || a.err != nil || a.StatusCode != s.Response.Status {
		return fmt.Sprintf("%v, %v", a.Response, a.err)
	}
	body := a.body
	if a.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			return err.Error()
		}
	}
	all := append([]byte(fmt.Sprint(a.Header)), body...)
	for _, l := range s.Expect.MustDisappear {
		for _, f := range l.forms() {
			if bytes.Contains(all, f) {
				return fmt.Sprintf("the canary of %s is there: %q", l.Path, f)
			}
		}
	}
	for _, l := range s.Expect.MustSurvive {
		// A chunked answer has no length, and the gzip style has another encoding.
		found := len(l.Wire) == 0 || l.Path == "ContentLength" || l.Path == "ContentEncoding" && s.Variant.Style == "gzip"
		for _, f := range l.forms() {
			found = found || bytes.Contains(all, f)
		}
		if !found {
			return "the marker of " + l.Path + " is gone"
		}
	}
	return ""
}

// recorded is everything that was published (the embedded server's files hold the
// stream as it is), recorded, logged or spooled.
func recorded(t *testing.T, r *rig) []byte {
	t.Helper()
	r.close()
	out := []byte(r.log.String())
	kinds := map[string]int{}
	must(t, filepath.WalkDir(r.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out = append(out, b...)
		rel, _ := filepath.Rel(r.state, path)
		kinds[strings.Split(rel, string(filepath.Separator))[0]] += bytes.Count(b, []byte("dev.sallyport.response.v1"))
		return err
	}))
	if kinds["nats"] == 0 || kinds["records"] == 0 {
		t.Fatalf("the files hold no responses: %v", kinds)
	}
	return out
}
