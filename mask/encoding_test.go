package mask

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/refusal"
)

// encoders by the name under which a test asks for them; "raw" is deflate without
// zlib's frame, "members" gzip in several members.
var encoders = map[string]func(io.Writer) io.WriteCloser{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"x-gzip":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"raw": func(w io.Writer) io.WriteCloser {
		z, err := flate.NewWriter(w, 6)
		if err != nil {
			panic(err)
		}
		return z
	},
	"zstd": func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return z
	},
}

func encoded(tb testing.TB, plain []byte, list ...string) []byte {
	tb.Helper()
	for _, c := range list {
		var b bytes.Buffer
		w := encoders[c](&b)
		if _, err := w.Write(plain); err != nil {
			tb.Fatal(err)
		}
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
		plain = b.Bytes()
	}
	return plain
}

func codingHeader(list ...string) http.Header {
	h := http.Header{}
	for _, c := range list {
		if c == "raw" {
			c = "deflate"
		}
		h.Add("Content-Encoding", c)
	}
	return h
}

func TestDecode(t *testing.T) {
	text := []byte(strings.Repeat("what AWS answers ", 5000))
	for _, list := range [][]string{
		{"gzip"}, {"x-gzip"}, {"deflate"}, {"raw"}, {"br"}, {"zstd"},
		{"gzip", "br"}, {"br", "gzip"}, {"zstd", "deflate"}, {"raw", "zstd", "gzip", "br"},
	} {
		name := strings.Join(list, ",")
		wire := encoded(t, text, list...)
		h := codingHeader(list...)
		got, decoded, err := decodeBody(h, wire, int64(len(text)))
		if err != nil || !decoded || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v, %v", name, len(got), decoded, err)
		}
		if _, _, err := decodeBody(h, wire, int64(len(text))-1); err == nil {
			t.Errorf("%s: the limit did not hold", name)
		}
		r, _, err := decodeStream(h, iotest.OneByteReader(bytes.NewReader(wire)))
		if got, e := io.ReadAll(r); err != nil || e != nil || !bytes.Equal(got, text) {
			t.Errorf("%s, byte by byte: %d bytes, %v, %v", name, len(got), err, e)
		}
		for what, bad := range map[string][]byte{
			"cut":            wire[:len(wire)-1],
			"cut in the mid": wire[:len(wire)/2],
			"with a tail":    append(slices.Clone(wire), "tail"...),
			"not encoded":    text,
		} {
			if _, _, err := decodeBody(h, bad, 1<<20); err == nil {
				t.Errorf("%s, %s: taken", name, what)
			}
			r, _, _ := decodeStream(h, bytes.NewReader(bad))
			_, err := io.ReadAll(r)
			if ref := refused(err); ref == nil || ref.Reason != refusal.Masking {
				t.Errorf("%s, %s, streamed: %v", name, what, err)
			}
		}
		broke := errors.New("broke off")
		r, _, _ = decodeStream(h, io.MultiReader(bytes.NewReader(wire[:len(wire)/2]), iotest.ErrReader(broke)))
		if _, err := io.ReadAll(r); !errors.Is(err, broke) {
			t.Errorf("%s: a broken connection became %v", name, err)
		}
	}
}

func refused(err error) *refusal.Error {
	var r *refusal.Error
	errors.As(err, &r)
	return r
}

func TestDecodeMembers(t *testing.T) {
	wire := append(encoded(t, []byte("one "), "gzip"), encoded(t, []byte("two"), "gzip")...)
	got, _, err := decodeBody(codingHeader("gzip"), wire, 100)
	if err != nil || string(got) != "one two" {
		t.Errorf("%q %v", got, err)
	}
	wire = append(encoded(t, []byte("one "), "zstd"), encoded(t, []byte("two"), "zstd")...)
	if got, _, err := decodeBody(codingHeader("zstd"), wire, 100); err != nil || string(got) != "one two" {
		t.Errorf("%q %v", got, err)
	}
}

func TestUnknownCodings(t *testing.T) {
	for _, v := range []string{"aws-chunked", "compress", "gzip, aws-chunked", "gzip gzip", "br;q=1", "dcb", "gzip,gzip,gzip,gzip,gzip"} {
		h := http.Header{"Content-Encoding": {v}}
		if _, _, err := decodeBody(h, []byte("x"), 100); err == nil {
			t.Errorf("%s: taken", v)
		}
		if _, _, err := decodeStream(h, strings.NewReader("x")); err == nil {
			t.Errorf("%s, streamed: taken", v)
		}
	}
	for _, v := range []string{"", "identity", " Identity ,"} {
		if got, decoded, err := decodeBody(http.Header{"Content-Encoding": {v}}, []byte("x"), 100); err != nil || decoded || string(got) != "x" {
			t.Errorf("%q: %q %v %v", v, got, decoded, err)
		}
	}
	for c := range encoders { // the answer to a HEAD
		r, _, err := decodeStream(codingHeader(c), strings.NewReader(""))
		if b, e := io.ReadAll(r); err != nil || e != nil || len(b) > 0 {
			t.Errorf("%s: %v %v", c, err, e)
		}
	}
}

// zeros gives n zeros.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	clear(p[:n])
	z.n -= n
	return int(n), nil
}

// A small body that decodes to much is refused while it is decoded, on every level of
// several codings, and streamed without being kept.
func TestBombs(t *testing.T) {
	const size, limit = 96 << 20, 1 << 20
	for _, list := range [][]string{{"gzip"}, {"raw"}, {"br"}, {"zstd"}, {"gzip", "gzip"}, {"zstd", "br"}} {
		var b bytes.Buffer
		w := encoders[list[0]](&b)
		if _, err := io.Copy(w, &zeros{size}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wire := encoded(t, b.Bytes(), list[1:]...)
		before := allocated()
		if _, _, err := decodeBody(codingHeader(list...), wire, limit); err == nil {
			t.Errorf("%v: %d bytes became more than allowed", list, len(wire))
		}
		if n := allocated() - before; n > 64<<20 {
			t.Errorf("%v: %d MiB to refuse a bomb", list, n>>20)
		}
		before = allocated()
		r, _, err := decodeStream(codingHeader(list...), bytes.NewReader(wire))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != size {
			t.Errorf("%v: %d bytes, %v", list, n, err)
		}
		if n := allocated() - before; n > 64<<20 {
			t.Errorf("%v: %d MiB to stream", list, n>>20)
		}
	}
	// What decodes to nothing has decoded to much on the way.
	empty := bytes.Repeat(encoded(t, nil, "gzip"), 100_000)
	if _, _, err := decodeBody(codingHeader("gzip", "gzip"), encoded(t, empty, "gzip"), limit); err == nil {
		t.Error("an inner coding was not bounded")
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestZstdWindow(t *testing.T) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, &zeros{80 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, _, err := decodeStream(codingHeader("zstd"), &b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err == nil {
		t.Error("a window of 64 MiB was taken")
	}
}

// FuzzDecode: whatever the bytes are, both forms say the same of them, no more than
// the limit comes out, and what was encoded is what comes back.
// A decoder may hold what Room says and no more, however many there are, however short
// the body that asks for it, and wherever it stops.
func TestRoom(t *testing.T) {
	noise := make([]byte, 20<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte('0' + r.IntN(64))
	}
	var br, zst bytes.Buffer
	wide := brotli.NewWriterOptions(&br, brotli.WriterOptions{Quality: 2, LGWin: 24})
	far, err := zstd.NewWriter(&zst, zstd.WithWindowSize(zstdWindow), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{wide, far} {
		if _, err := w.Write(noise); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		list []string
		body []byte
		at   int64
	}{
		{[]string{"gzip"}, encoded(t, noise[:1<<20], "gzip"), 1 << 19},
		{[]string{"deflate", "gzip", "x-gzip"}, encoded(t, noise[:1<<20], "deflate", "gzip", "gzip"), 1 << 19},
		{[]string{"br"}, br.Bytes(), 18 << 20},
		{[]string{"zstd"}, zst.Bytes(), 18 << 20},
		{[]string{"zstd"}, zst.Bytes(), 100},
	} {
		const many = 4
		h := codingHeader(test.list...)
		readers := make([]io.Reader, many)
		runtime.GC()
		before := inUse()
		for i := range readers {
			if readers[i], _, err = decodeStream(h, bytes.NewReader(test.body)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, readers[i], test.at); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		held := (inUse() - before) / many
		if room := Room(h); held > room || room > 4*held+1<<20 {
			t.Errorf("%v at %d: %d bytes are held, there is room for %d", test.list, test.at, held, room)
		}
		runtime.KeepAlive(readers)
	}
	for _, h := range []http.Header{{}, codingHeader("identity"), codingHeader("x-own"), codingHeader("br", "br", "br", "br", "br")} {
		if n := Room(h); n != 0 {
			t.Errorf("%v: %d", h, n)
		}
	}
}

// An answer has room for what of it is decoded: nothing of an object that passes, and the
// text too where it is read whole.
func TestRoomOfAnswers(t *testing.T) {
	scanner, err := detect.New(detect.Config{Sets: detect.DefaultSets()})
	if err != nil {
		t.Fatal(err)
	}
	const limit = 1 << 20
	h := codingHeader("zstd")
	for name, test := range map[string]struct {
		o      Options
		in     Input
		status int
		want   int64
	}{
		"object that passes": {Options{}, Input{Protocol: "rest-xml", StreamingOutput: true}, 200, 0},
		"object":             {Options{MaskObjects: true}, Input{Protocol: "rest-xml", StreamingOutput: true}, 206, Room(h)},
		"events":             {Options{}, Input{Protocol: "rest-json", EventStreamOutput: true}, 200, Room(h)},
		"document":           {Options{}, Input{Protocol: "json"}, 200, Room(h) + limit},
		"error":              {Options{}, Input{Protocol: "rest-xml", StreamingOutput: true}, 404, Room(h) + limit},
	} {
		test.o.MaxBody, test.o.Scanner = limit, scanner
		p, err := New(test.o).Plan(test.in)
		if err != nil {
			t.Fatal(err)
		}
		if n := p.Room(test.status, h); n != test.want || p.Room(test.status, http.Header{}) != 0 {
			t.Errorf("%s: %d, want %d", name, n, test.want)
		}
	}
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func FuzzDecode(f *testing.F) {
	names := []string{"gzip", "x-gzip", "deflate", "raw", "br", "zstd"}
	for i, n := range names {
		f.Add(encoded(f, []byte("text text text"), n), byte(i), byte(7))
		f.Add(encoded(f, encoded(f, []byte("text"), n), "br"), byte(4), byte(i))
		f.Add([]byte{}, byte(i), byte(7))
		f.Add([]byte{0x78, 0x9c}, byte(i), byte(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, first, second byte) {
		const limit = 1 << 16
		list := []string{names[int(first)%len(names)]}
		if int(second)%8 < len(names) {
			list = append([]string{names[int(second)%8]}, list...)
		}
		got, _, err := decodeBody(codingHeader(list...), in, limit)
		if len(got) > limit {
			t.Fatalf("%d bytes", len(got))
		}
		r, _, e := decodeStream(codingHeader(list...), iotest.HalfReader(bytes.NewReader(in)))
		if e != nil {
			t.Fatal(e)
		}
		streamed, e := io.ReadAll(io.LimitReader(r, 1<<22))
		if err == nil && (e != nil || !bytes.Equal(got, streamed)) {
			t.Fatalf("%v: %q, streamed %q %v", list, got, streamed, e)
		}
		if err != nil && e == nil && len(streamed) <= limit && len(list) == 1 {
			t.Fatalf("%v: %v, but streamed %q", list, err, streamed)
		}
		back, _, err := decodeBody(codingHeader(list...), encoded(t, in, list...), 1<<20)
		if len(in) < 1<<19 && (err != nil || !bytes.Equal(back, in)) {
			t.Fatalf("%v: %q became %q, %v", list, in, back, err)
		}
	})
}
