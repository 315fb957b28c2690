package postform_test

import (
	"io"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/postform"
)

// zeros is a file of n bytes that costs nothing to read.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(z.n, int64(len(p))))
	clear(p[:n])
	z.n -= int64(n)
	return n, nil
}

// BenchmarkBody reads and writes a form whose file has 64 MiB: memory is that of one
// buffer, whatever the length.
func BenchmarkBody(b *testing.B) {
	const size = 64 << 20
	head, _, _ := strings.Cut(form(good), "hello")
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		f, err := postform.Read(io.MultiReader(strings.NewReader(head), &zeros{size}, strings.NewReader("\r\n--"+boundary+"--\r\n")), boundary, -1)
		if err != nil {
			b.Fatal(err)
		}
		body, _ := postform.Body(f.Fields, f.File, "fresh")
		if n, err := io.Copy(io.Discard, body); err != nil || n < size {
			b.Fatal(n, err)
		}
	}
}
