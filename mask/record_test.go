package mask

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

func callOf(t *testing.T, host, method, target, body string, header ...string) *awsapi.Call {
	t.Helper()
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	head, err := id.Head(awsapi.Request{Method: method, Host: host, Target: target, Header: h, ContentLength: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	call, err := head.Call([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// Whatever lets the agent have a secret, the record has it not; and what the agent gets
// masked is not masked twice.
func TestPlanRecord(t *testing.T) {
	const secret, k = "CANARY-5d2", plantedKey
	getSecret := callOf(t, "secretsmanager.us-east-1.amazonaws.com", "POST", "/", `{"SecretId":"a"}`, "X-Amz-Target", "secretsmanager.GetSecretValue", "Content-Type", "application/x-amz-json-1.1")
	getObject := callOf(t, "s3.us-east-1.amazonaws.com", "GET", "/acme/key", "")
	document := `{"Name":"n","SecretString":"` + secret + `","o":"` + k + `"}`
	for name, c := range map[string]struct {
		options Options
		call    *awsapi.Call
		paths   []Path
		unmask  []string
		answer  string
		again   bool
		agent   string // what it gets of secrets
	}{
		"masked anyway":   {Options{Scanner: defaults(t)}, getSecret, nil, nil, document, false, ""},
		"unmask":          {Options{Scanner: defaults(t)}, getSecret, nil, []string{"*"}, document, true, secret},
		"unmask by name":  {Options{Scanner: defaults(t)}, getSecret, nil, []string{"SecretString"}, document, true, secret},
		"AWS's marks off": {Options{Scanner: defaults(t), PassAWSSensitive: true}, getSecret, nil, nil, document, true, secret},
		"object":          {Options{Scanner: defaults(t)}, getObject, nil, nil, "text " + k + " text", true, k},
		"masked object":   {Options{Scanner: defaults(t), MaskObjects: true}, getObject, nil, nil, "text " + k + " text", false, ""},
		"no detectors":    {Options{}, getObject, nil, nil, "text", false, ""},
	} {
		m := New(c.options)
		p, err := m.PlanCall(c.call, c.paths, "", c.unmask)
		if err != nil {
			t.Fatal(err)
		}
		first, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(c.answer))
		if err != nil {
			t.Fatal(err)
		}
		got := first.Body
		if first.Stream != nil {
			got, _ = io.ReadAll(first.Stream)
		}
		if c.agent != "" && !bytes.Contains(got, []byte(c.agent)) {
			t.Errorf("%s: the agent gets %s", name, got)
		}
		again, err := m.PlanRecord(c.call, p, c.paths, "")
		if err != nil || (again != nil) != c.again {
			t.Errorf("%s: again %v, %v", name, again != nil, err)
			continue
		}
		if again != nil {
			second, err := again.Apply(t.Context(), 200, first.Header, bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if got = second.Body; second.Stream != nil {
				got, _ = io.ReadAll(second.Stream)
			}
		}
		for _, s := range []string{secret, k} {
			if bytes.Contains(got, []byte(s)) {
				t.Errorf("%s: on record: %s", name, got)
			}
		}
	}
}

// Object is the object without its codings, masked, as long as it is, in any pieces.
func TestObjectForTheRecord(t *testing.T) {
	m := New(Options{Scanner: defaults(t)})
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		plain := object(r, 1000+r.IntN(200_000))
		want, err := io.ReadAll(newObjectReader(&walk{found: &findings{}, scan: m.scan}, bytes.NewReader(plain)))
		if err != nil {
			t.Fatal(err)
		}
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		_, _ = z.Write(plain)
		_ = z.Close()
		for name, c := range map[string]struct {
			encoding []string
			in       []byte
		}{
			"plain":            {nil, plain},
			"chunked":          {[]string{"aws-chunked"}, plain},
			"gzip":             {[]string{"gzip"}, zipped.Bytes()},
			"gzip and chunked": {[]string{"gzip, aws-chunked"}, zipped.Bytes()},
			"in two headers":   {[]string{"AWS-Chunked", "gzip"}, zipped.Bytes()},
		} {
			out, err := m.Object(http.Header{"Content-Encoding": c.encoding}, bytes.NewReader(c.in))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := io.ReadAll(out)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
			}
		}
	}
	if _, err := m.Object(http.Header{"Content-Encoding": {"secret-coding"}}, nil); !errors.Is(err, errCoding) {
		t.Errorf("an unknown coding: %v", err)
	}
	out, err := m.Object(http.Header{"Content-Encoding": {"gzip"}}, strings.NewReader("no gzip"))
	if err == nil {
		_, err = io.ReadAll(out)
	}
	if err == nil {
		t.Error("what is not gzip was taken for it")
	}
}

func TestOpaque(t *testing.T) {
	var zipped bytes.Buffer
	_ = gzip.NewWriter(&zipped).Close()
	for text, want := range map[string]bool{zipped.String(): true, "PK\x03\x04rest": true, "PAR1": true, "": false, "P": false, "plain text": false, `{"a":1}`: false} {
		if Opaque([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
