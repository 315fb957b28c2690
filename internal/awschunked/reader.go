package awschunked

import (
	"errors"
	"io"

	"github.com/sallyport/sallyport/internal/bodyfault"
)

// Decoder gives the bytes inside an aws-chunked body. At the end of a body that is
// all that was declared it gives io.EOF; anything else is an *Error, before the last
// byte inside was given. Its zero value is not useful.
type Decoder struct{ stream }

// NewDecoder reads r. d must be what Declare made.
func NewDecoder(r io.Reader, d Declared) (*Decoder, error) {
	s, err := newStream(r, d, true)
	return &Decoder{s}, err
}

// Trailers are the body's trailers but for x-amz-trailer-signature, in their order;
// nil until Read has given io.EOF.
func (d *Decoder) Trailers() []Trailer {
	if !errors.Is(d.err, io.EOF) || len(d.out) > 0 {
		return nil
	}
	return d.checker.trailers
}

// Checked gives an aws-chunked body as it came, byte for byte. It fails as Decoder
// does, before the last byte was given. Its zero value is not useful.
type Checked struct{ stream }

// NewChecked reads r. d must be what Declare made.
func NewChecked(r io.Reader, d Declared) (*Checked, error) {
	s, err := newStream(r, d, false)
	return &Checked{s}, err
}

// bufferSize is what is read at once: several TLS records, which mitm takes from the
// socket in one call.
const bufferSize = 128 << 10

// stream reads, checks, and keeps back the last byte until the end is seen. Without
// that, a request with a Content-Length would be complete upstream before it is
// known that its body was not.
type stream struct {
	src     io.Reader
	checker *checker
	decode  bool
	buf     []byte // the first byte is for last
	last    byte   // kept back, where kept says so
	kept    bool
	out     []byte // in buf, to be given next
	err     error  // after out
}

func newStream(r io.Reader, d Declared, decode bool) (stream, error) {
	c, err := newChecker(d)
	if err != nil {
		return stream{err: err}, err
	}
	return stream{src: r, checker: c, decode: decode, buf: make([]byte, 1+bufferSize)}, nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.out) == 0 && s.err == nil && len(p) > 0 {
		s.fill()
	}
	if len(s.out) == 0 {
		return 0, s.err
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// maxEmptyReads in a row are borne with, as in bufio.
const maxEmptyReads = 100

func (s *stream) fill() {
	n, err := 0, error(nil)
	for range maxEmptyReads {
		if n, err = s.src.Read(s.buf[1:]); n > 0 || err != nil {
			break
		}
	}
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	start, end := 1, 1
	if s.kept {
		start, s.buf[0] = 0, s.last
	}
	for p := s.buf[1 : 1+n]; len(p) > 0; {
		k, data, bad := s.checker.next(p)
		if bad != nil {
			s.err = bad
			return
		}
		if data || !s.decode {
			end += copy(s.buf[end:], p[:k])
		}
		p = p[k:]
	}
	switch {
	case err == io.EOF: //nolint:errorlint // an error that wraps it is no clean end
		if s.err = s.checker.finish(); s.err == nil {
			s.out, s.err = s.buf[start:end], io.EOF
		}
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // nobody behind us shall take it for the end
		}
		s.err = &Error{bodyfault.Wrap("the body could not be read to its end", err)}
	case end > start:
		s.out, s.last, s.kept = s.buf[start:end-1], s.buf[end-1], true
	}
}
