package postform

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// bufferSize is what is read at once: net/http copies bodies in pieces of 32 KiB.
const bufferSize = 32 << 10

// closing is behind the last boundary, crlf may be behind that: clients write either.
const (
	closing = "--"
	crlf    = "\r\n"
)

// File gives the bytes of the form's file. At the end of a form that ends with the
// file it gives io.EOF; anything else is an *Error, after bytes of the file and perhaps
// all of them. It belongs to one goroutine. Its zero value is not useful.
type File struct {
	src       *bufio.Reader
	delimiter []byte
	most      int64
	epilogue  string
	err       error
	tee       io.WriteCloser // nil: none
}

// Tee has what Read gives written to w first, and w closed before io.EOF is given. An
// error of w's is Read's.
func (f *File) Tee(w io.WriteCloser) { f.tee = w }

func newFile(h *headReader, contentLength int64) (*File, error) {
	f := &File{src: h.src, delimiter: []byte(crlf + h.dash), most: -1}
	if contentLength >= 0 {
		f.most = contentLength - int64(h.n+len(f.delimiter)+len(closing))
		if f.most < 0 {
			return nil, broken(io.ErrUnexpectedEOF)
		}
	}
	// Some readers take a boundary right behind the headers for the end of an empty file.
	if b, _ := h.src.Peek(len(h.dash)); string(b) == h.dash {
		return nil, bad("the file begins with the form's boundary")
	}
	return f, nil
}

// Most is how many bytes the file has at the most, -1 if that is not known. It has two
// less where the form ends in a CRLF that may be left out.
func (f *File) Most() int64 { return f.most }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.err != nil {
		return 0, f.err
	}
	// Less than a delimiter is there only where the stream ends.
	_, err := f.src.Peek(len(f.delimiter))
	b, _ := f.src.Peek(f.src.Buffered())
	at := bytes.Index(b, f.delimiter)
	switch {
	case at == 0:
		f.err = f.end()
		return 0, f.err
	case at > 0:
		b = b[:at]
	case err != nil:
		f.err = broken(err)
		return 0, f.err
	default: // what is last may be the beginning of a delimiter
		b = b[:len(b)-len(f.delimiter)+1]
	}
	n := copy(p, b)
	if f.tee != nil {
		if _, err := f.tee.Write(p[:n]); err != nil {
			f.err = err
			return 0, err
		}
	}
	_, err = f.src.Discard(n)
	return n, err
}

// end wants nothing behind the delimiter but the end of the form.
func (f *File) end() error {
	b, err := f.src.Peek(len(f.delimiter) + len(closing) + len(crlf) + 1)
	if err != nil && err != io.EOF { // an error that wraps it is no clean end
		return broken(err)
	}
	switch tail := string(b[len(f.delimiter):]); {
	case err != nil && (tail == closing || tail == closing+crlf):
		f.epilogue = tail[len(closing):]
		if f.tee != nil {
			if err := f.tee.Close(); err != nil {
				return err
			}
		}
		return io.EOF
	case err != nil && strings.HasPrefix(closing+crlf, tail):
		return broken(io.ErrUnexpectedEOF)
	}
	return bad("the form goes on behind its file, which must be its last field, or the file has the form's boundary inside")
}
