package mask

import (
	"errors"
	"io"

	"github.com/sallyport/sallyport/mask/detect"
)

// objectReader masks an object as it streams. Its length stays, so that what clients
// ask for by position is where they expect it.
type objectReader struct {
	w      *walk
	src    io.Reader
	stream *detect.Stream
	buf    []byte
	out    []byte
	err    error
}

func newObjectReader(w *walk, src io.Reader) *objectReader {
	return &objectReader{w: w, src: src, buf: make([]byte, 32<<10), stream: w.scan.NewStream(func(_ string, secret []byte) []byte {
		return fit(w.swap.word(secret, w.style), len(secret))
	}, true)}
}

func (r *objectReader) Read(b []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		var n int
		if n, r.err = r.src.Read(r.buf); n > 0 {
			r.out = r.stream.Write(r.buf[:n])
		}
		if errors.Is(r.err, io.EOF) {
			r.out = append(append([]byte(nil), r.out...), r.stream.Close()...)
			for _, h := range r.stream.Hits() {
				for range h.Count {
					r.w.found.add("object", SourceDetector, h.Rule)
				}
			}
		}
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}
