package mask

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/refusal"
)

func objectPlan(tb testing.TB) *Plan {
	tb.Helper()
	return mustPlan(tb, Options{Scanner: defaults(tb), MaskObjects: true}, Input{Protocol: "rest-xml", StreamingOutput: true})
}

// object is random text with secrets in it.
func object(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789 \n\n,;:"[r.IntN(42)]
	}
	pem := "\n-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAx7Vn0Yz3qTq1c8Lw0aVdEoPqS2mZ1uHk4yXw9bRt6NfGjCsW\n", 20) + "-----END RSA PRIVATE KEY-----\n"
	for range size / 2000 {
		s := " " + plantedKey + " "
		if r.IntN(4) == 0 {
			s = pem
		}
		if len(s) < size {
			copy(b[r.IntN(size-len(s)):], s)
		}
	}
	return b
}

// s3 answers as net/http's file server does, which is our oracle for ranges.
func s3(b []byte, rangeHeader string) *http.Response {
	w := httptest.NewRecorder()
	q := httptest.NewRequest(http.MethodGet, "/", nil)
	if rangeHeader != "" {
		q.Header.Set("Range", rangeHeader)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	last, suffix := strings.CutPrefix(rangeHeader, "bytes=-")
	if rangeHeader != "" && len(b) == 0 || suffix && strings.Trim(last, "0") == "" {
		// There is no such part; net/http gives an empty one all the same.
		w.Header().Set("Content-Range", "bytes */0")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return w.Result()
	}
	http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(b))
	return w.Result()
}

func maskWhole(tb testing.TB, p *Plan, b []byte) []byte {
	tb.Helper()
	res, err := p.Apply(tb.Context(), 200, http.Header{}, bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	out, err := io.ReadAll(res.Stream)
	if err != nil || len(out) != len(b) {
		tb.Fatalf("%d bytes became %d: %v", len(b), len(out), err)
	}
	return out
}

// Whatever part of an object is asked for, the answer is that part of the whole object
// as it is masked.
func TestRangesAreSlicesOfTheMaskedObject(t *testing.T) {
	p := objectPlan(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{0, 1, 50, 5000, detect.Window, 3*detect.Window + 77, 6 * detect.Window} {
		raw := object(r, size)
		whole := maskWhole(t, p, raw)
		if size > 5000 && bytes.Equal(whole, raw) {
			t.Fatal("nothing was masked")
		}
		at := func() int {
			n := r.IntN(size + 2)
			if i := bytes.Index(raw[min(n, size):], []byte(plantedKey)); i >= 0 && r.IntN(2) == 0 {
				n += i + r.IntN(len(plantedKey)) // in a secret
			}
			return n
		}
		for i := range 150 {
			a, b := at(), at()
			header := fmt.Sprintf("bytes=%d-%d", min(a, b), max(a, b))
			switch i % 5 {
			case 0:
				header = fmt.Sprintf("bytes=%d-", a)
			case 1:
				header = fmt.Sprintf("bytes=-%d", a)
			case 2:
				header = fmt.Sprintf("bytes=%d-%d", a, a+r.IntN(64))
			}
			want := s3(whole, header)
			body, _ := io.ReadAll(want.Body)
			w, err := p.Range(header)
			if err != nil {
				t.Fatalf("%s: %v", header, err)
			}
			got := s3(raw, w.Header)
			res, err := p.Apply(t.Context(), got.StatusCode, got.Header, iotest.HalfReader(got.Body))
			if err != nil {
				t.Fatalf("%s: %v", header, err)
			}
			status, res, err := w.Cut(got.StatusCode, res)
			if err != nil || status != want.StatusCode {
				t.Fatalf("%s of %d: %d, want %d: %v", header, size, status, want.StatusCode, err)
			}
			if status == http.StatusRequestedRangeNotSatisfiable {
				if strings.Contains(string(res.Body), fmt.Sprint(detect.Window)) || res.Header.Get("Content-Length") != fmt.Sprint(len(res.Body)) {
					t.Fatalf("%s: %s", header, res.Body)
				}
				continue
			}
			out, err := io.ReadAll(res.Stream)
			if err != nil || !bytes.Equal(out, body) {
				t.Fatalf("%s of %d: %v\n got %.300q\nwant %.300q", header, size, err, out, body)
			}
			for _, k := range []string{"Content-Range", "Content-Length"} {
				if res.Header.Get(k) != want.Header.Get(k) {
					t.Fatalf("%s of %d: %s %q, want %q", header, size, k, res.Header.Get(k), want.Header.Get(k))
				}
			}
		}
	}
}

func TestRangesRefused(t *testing.T) {
	p := objectPlan(t)
	for _, v := range []string{"bytes=0-1,3-4", "lines=0-1", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=+1-2", "bytes=1--2", "bytes=0x1-2", "bytes=1-2-3",
		"bytes=9999999999999999999-", "0-5", "bytes=1 - 2"} {
		if w, err := p.Range(v); refused(err) == nil || refused(err).Reason != refusal.Denied || w.Header != "" {
			t.Errorf("%q: %q %v", v, w.Header, err)
		}
	}
	_, err := New(Options{Scanner: defaults(t), MaskObjects: true}).Plan(Input{Protocol: "rest-xml", StreamingOutput: true, Part: "2"})
	if refused(err) == nil || refused(err).Reason != refusal.Denied {
		t.Errorf("the second part: %v", err)
	}
	first := mustPlan(t, Options{Scanner: defaults(t), MaskObjects: true}, Input{Protocol: "rest-xml", StreamingOutput: true, Part: "1"})
	if w, err := first.Range("bytes=0-1"); refused(err) == nil {
		t.Errorf("a part and a range: %v %v", w, err)
	}
	// Where nothing is masked, or all of it is read, the request stays.
	for name, p := range map[string]*Plan{
		"off":      mustPlan(t, Options{Scanner: defaults(t)}, Input{Protocol: "rest-xml", StreamingOutput: true, Part: "2"}),
		"document": mustPlan(t, Options{Scanner: defaults(t), MaskObjects: true}, Input{Protocol: "rest-xml"}),
		"rule":     mustPlan(t, Options{Scanner: defaults(t), MaskObjects: true}, Input{Protocol: "rest-xml", StreamingOutput: true, Paths: paths("a")}),
	} {
		if w, err := p.Range("bytes=0-1,3-4"); err != nil || w.Header != "" {
			t.Errorf("%s: %q %v", name, w.Header, err)
		}
	}
}

// AWS's answer is held to what it was asked for.
func TestRangeAnswers(t *testing.T) {
	p := objectPlan(t)
	w, err := p.Range("bytes=100000-100009")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(status int, h http.Header, body string) (int, Result, []byte, error) {
		res, err := p.Apply(t.Context(), status, h, strings.NewReader(body))
		if err != nil {
			return 0, res, nil, err
		}
		status, res, err = w.Cut(status, res)
		if err != nil || res.Stream == nil {
			return status, res, nil, err
		}
		b, err := io.ReadAll(res.Stream)
		return status, res, b, err
	}
	part := func(v string) http.Header { return http.Header{"Content-Range": {v}, "Content-Type": {"text/plain"}} }
	for name, h := range map[string]http.Header{
		"several":      {"Content-Type": {"multipart/byteranges; boundary=x"}},
		"too late":     part("bytes 100001-165545/200000"),
		"too short":    part("bytes 34464-100008/200000"),
		"elsewhere":    part("bytes 0-165545/200000"),
		"unknown size": part("bytes 34464-165545/*"),
		"backwards":    part("bytes 5-4/200000"),
		"encoded":      {"Content-Range": {"bytes 34464-165545/200000"}, "Content-Encoding": {"gzip"}},
	} {
		if _, _, b, err := answer(206, h, strings.Repeat("x", 1<<17)); refused(err) == nil || refused(err).Reason != refusal.Masking || len(b) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, _, err := answer(206, part("bytes 34464-165545/200000"), "short"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short answer: %v", err)
	}
	// A server may answer with everything.
	if status, res, b, err := answer(200, http.Header{"Content-Length": {"3"}}, "all"); err != nil || status != 200 || string(b) != "all" || res.Header.Get("Content-Length") != "3" {
		t.Errorf("%d %q %v", status, b, err)
	}
	if status, res, _, err := answer(416, http.Header{}, "<RangeRequested>"+w.Header+"</RangeRequested>"); err != nil || status != 416 || string(res.Body) != "<RangeRequested>bytes=100000-100009</RangeRequested>" {
		t.Errorf("%d %s %v", status, res.Body, err)
	}
	status, res, _, err := answer(206, http.Header{"Content-Range": {"bytes 34464-99999/100000"}, "X-Amz-Request-Id": {"R"}, "X-Amz-Meta-A": {"m"}, "Etag": {"e"}}, strings.Repeat("x", 65536))
	if err != nil || status != 416 || !strings.Contains(string(res.Body), "<Code>InvalidRange</Code>") || !strings.Contains(string(res.Body), "<ActualObjectSize>100000<") ||
		res.Header.Get("Content-Range") != "bytes */100000" || res.Header.Get("X-Amz-Meta-A") != "" || res.Header.Get("X-Amz-Request-Id") != "R" {
		t.Errorf("%d %v %s %v", status, res.Header, res.Body, err)
	}
}

func TestMaskedObjects(t *testing.T) {
	p := objectPlan(t)
	if p.NeedsBody() {
		t.Error("an object must stream")
	}
	text := "key " + plantedKey + " end"
	h := http.Header{"Content-Length": {fmt.Sprint(len(text))}, "Etag": {`"0123456789abcdef0123456789abcdef-2"`}, "X-Amz-Checksum-Crc32": {"x"}, "X-Amz-Checksum-Type": {"x"},
		"Content-Md5": {"x"}, "Last-Modified": {"x"}, "X-Amz-Sha256-Tree-Hash": {"x"}}
	res, err := p.Apply(t.Context(), 200, h, iotest.OneByteReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Stream)
	if err != nil || len(b) != len(text) || strings.Contains(string(b), plantedKey) || !strings.HasSuffix(string(b), " end") {
		t.Errorf("%q %v", b, err)
	}
	if len(res.Header) != 2 || res.Header.Get("Last-Modified") == "" || res.Header.Get("Content-Length") == "" {
		t.Errorf("headers %v", res.Header)
	}
	if f := res.Findings(); len(f) != 1 || f[0].Source != SourceDetector || f[0].Path != "object" {
		t.Errorf("findings %v", f)
	}
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	if _, err := io.WriteString(zw, text); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	res, err = p.Apply(t.Context(), 200, http.Header{"Content-Encoding": {"gzip"}, "Content-Length": {"9"}}, &z)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := io.ReadAll(res.Stream); err != nil || !bytes.Equal(again, b) || len(res.Header) != 0 {
		t.Errorf("gzip: %q %v %v", again, res.Header, err)
	}
	if _, err := p.Apply(t.Context(), 206, http.Header{"Content-Encoding": {"gzip"}, "Content-Range": {"bytes 0-9/99"}}, &z); refused(err) == nil {
		t.Errorf("a part of something encoded: %v", err)
	}
	if _, err := p.Apply(t.Context(), 200, http.Header{"Content-Encoding": {"aws-chunked"}}, strings.NewReader(text)); refused(err) == nil {
		t.Errorf("aws-chunked: %v", err)
	}
	broke := errors.New("broke")
	res, err = p.Apply(t.Context(), 200, http.Header{}, io.MultiReader(strings.NewReader("fine "+plantedKey[:10]), iotest.ErrReader(broke)))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Stream); !errors.Is(err, broke) || string(b) != "fine " {
		t.Errorf("%q %v", b, err)
	}
}

// FuzzRange: a Range that is taken means what net/http takes it for, and no header
// makes the widened one ask for less.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=5-", "bytes=-7", "bytes=0-0", "bytes=-0", "bytes= 3-4", "Bytes=1-2", "bytes=999-", "bytes=1-99999999999999"} {
		f.Add(s)
	}
	p := objectPlan(f)
	body := bytes.Repeat([]byte("0123456789"), 20)
	f.Fuzz(func(t *testing.T, header string) {
		w, err := p.Range(header)
		if err != nil || w.Header == "" {
			return
		}
		got := s3(body, w.Header)
		res, err := p.Apply(t.Context(), got.StatusCode, got.Header, got.Body)
		if err != nil {
			t.Fatal(err)
		}
		status, res, err := w.Cut(got.StatusCode, res)
		if err != nil {
			t.Fatal(err)
		}
		_, spec, _ := strings.Cut(header, "=")
		want := s3(body, "bytes="+strings.TrimSpace(spec))
		if status != want.StatusCode {
			if want.StatusCode == http.StatusRequestedRangeNotSatisfiable && want.Header.Get("Content-Range") == "" {
				return // not one that net/http reads
			}
			t.Fatalf("%q: %d, want %d", header, status, want.StatusCode)
		}
		if status == http.StatusPartialContent {
			a, _ := io.ReadAll(res.Stream)
			b, _ := io.ReadAll(want.Body)
			if !bytes.Equal(a, b) {
				t.Fatalf("%q: %q, want %q", header, a, b)
			}
		}
	})
}

// The first part of an object that is masked is all of it.
func TestFirstPart(t *testing.T) {
	p := mustPlan(t, Options{Scanner: defaults(t), MaskObjects: true}, Input{Protocol: "rest-xml", StreamingOutput: true, Part: "1"})
	w, err := p.Range("")
	if err != nil || !w.Whole || w.Header != "" {
		t.Fatalf("%+v %v", w, err)
	}
	for length, c := range map[string]struct {
		status  int
		content string
	}{"22": {206, "bytes 0-21/22"}, "0": {200, ""}, "": {200, ""}, "x": {200, ""}} {
		h := http.Header{"Content-Length": {length}}
		if length == "" {
			h = nil
		}
		r, err := p.Apply(t.Context(), 200, h, strings.NewReader(" "+plantedKey+" "))
		if err != nil {
			t.Fatal(err)
		}
		status, r, err := w.Cut(200, r)
		body, readErr := io.ReadAll(r.Stream)
		if err != nil || readErr != nil || status != c.status || r.Header.Get("Content-Range") != c.content || strings.Contains(string(body), plantedKey) || len(body) != 22 {
			t.Errorf("%q: %d %v %q %v", length, status, r.Header, body, err)
		}
	}
}
