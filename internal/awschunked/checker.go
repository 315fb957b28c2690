package awschunked

import (
	"bytes"
	"encoding/base64"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/bodyfault"
)

// maxLine bounds a line of the framing: the longest is the chunk size with a SigV4A
// signature, 16+17+144 characters and CRLF.
const maxLine = 256

// Trailer is a line behind the last chunk.
type Trailer struct {
	Name  string // lower case
	Value string
}

// checker follows the framing of one body. It sees each byte once and keeps no more
// than a line.
type checker struct {
	declared Declared
	state    state
	line     []byte // what came of the line that is being read
	left     int64  // of the chunk that is being read
	total    int64  // bytes of data so far
	trailers []Trailer
	sums     map[string]hash.Hash
	sealed   bool // x-amz-trailer-signature was there
}

type state int

const (
	inSize state = iota
	inData
	afterData // the CRLF behind a chunk
	inTrailers
	complete
)

func newChecker(d Declared) (*checker, error) {
	if d.Form.String() == "" || d.Length < 0 || d.Form.trailing() != (len(d.Trailers) > 0) {
		return nil, bad("nothing declares this body to be aws-chunked")
	}
	c := &checker{declared: d, sums: map[string]hash.Hash{}, line: make([]byte, 0, maxLine)}
	for _, name := range d.Trailers {
		sum, ok := checksums[name]
		if !ok {
			return nil, bad("a trailer that is no checksum cannot be announced")
		}
		if sum.make != nil {
			c.sums[name] = sum.make()
		}
	}
	return c, nil
}

// next takes some bytes off the front of p, at least one unless p is empty, and
// reports whether they are data.
func (c *checker) next(p []byte) (n int, data bool, err error) {
	switch {
	case len(p) == 0:
		return 0, false, nil
	case c.state == complete:
		return 0, false, bad("the body goes on behind its end")
	case c.state == inData:
		n = int(min(int64(len(p)), c.left))
		for _, sum := range c.sums {
			_, _ = sum.Write(p[:n])
		}
		c.left -= int64(n)
		c.total += int64(n)
		if c.left == 0 {
			c.state = afterData
		}
		return n, true, nil
	}
	n = len(p)
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		n = i + 1
	}
	if len(c.line)+n > maxLine {
		return 0, false, bad("a line of the framing is too long")
	}
	c.line = append(c.line, p[:n]...)
	if c.line[len(c.line)-1] != '\n' {
		return n, false, nil
	}
	line, ok := bytes.CutSuffix(c.line, []byte("\r\n"))
	if !ok {
		if c.state == inTrailers && bytes.Count(c.line, []byte("\n")) == 1 {
			return n, false, nil // see trailer
		}
		return 0, false, bad("a line of the framing does not end in CRLF")
	}
	err = c.take(string(line))
	c.line = c.line[:0]
	return n, false, err
}

func (c *checker) take(line string) error {
	switch c.state {
	case inSize:
		return c.size(line)
	case afterData:
		if line != "" {
			return bad("a chunk is longer than its size")
		}
		c.state = inSize
		return nil
	}
	if line == "" {
		return c.end()
	}
	return c.trailer(line)
}

// size reads `SIZE` or `SIZE;chunk-signature=SIG`. Leading zeros, signs and white
// space are refused, and so is any other extension: servers differ in what they make
// of them. A chunk can be as long as all that was declared, as one SDK sends it.
func (c *checker) size(line string) error {
	digits, extension, extended := strings.Cut(line, ";")
	if extended != c.declared.Form.signed() {
		return bad("a chunk's size has an extension where %s has none, or lacks its signature", c.declared.Form)
	}
	if extended {
		sig, ok := strings.CutPrefix(extension, "chunk-signature=")
		if !ok || !c.declared.Form.signature(sig) {
			return bad("a chunk's extension is not chunk-signature with a signature of %s", c.declared.Form)
		}
	}
	size, ok := hexadecimal(digits)
	if !ok {
		return bad("a chunk's size is not a hexadecimal number")
	}
	switch rest := c.declared.Length - c.total; {
	case size > rest:
		return bad("the body holds more than X-Amz-Decoded-Content-Length says (%d)", c.declared.Length)
	case size > 0:
		c.left, c.state = size, inData
	case rest > 0:
		return bad("the body holds %d bytes, X-Amz-Decoded-Content-Length says %d", c.total, c.declared.Length)
	default:
		c.state = inTrailers
	}
	return nil
}

// hexadecimal reads up to 15 digits, so that nothing overflows.
func hexadecimal(s string) (int64, bool) {
	if s == "" || len(s) > 15 || (s[0] == '0' && s != "0") {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if d < 0 || s[i] < '0' {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}

// trailer reads `name:value`. MinIO's client (minio-go, and so mc with checksums)
// writes `name:value LF CRLF`, which S3 takes: that LF alone is borne with. Any
// other control character is none of base64's and refused.
func (c *checker) trailer(line string) error {
	if !c.declared.Form.trailing() {
		return bad("the body has trailers, which %s has not", c.declared.Form)
	}
	name, value, _ := strings.Cut(line, ":")
	name = strings.ToLower(name)
	switch {
	case c.sealed:
		return bad("the body has a trailer behind x-amz-trailer-signature")
	case name == "x-amz-trailer-signature":
		if !c.declared.Form.signed() || !c.declared.Form.signature(value) {
			return bad("x-amz-trailer-signature is not where and what %s says", c.declared.Form)
		}
		c.sealed = true
		return nil
	case !slices.Contains(c.declared.Trailers, name):
		return bad("the body has a trailer that X-Amz-Trailer does not announce")
	case slices.ContainsFunc(c.trailers, func(t Trailer) bool { return t.Name == name }):
		return bad("the body has the trailer %s twice", name)
	}
	value = strings.TrimSuffix(value, "\n")
	// DecodeString passes over CR and LF.
	sum, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || len(sum) != checksums[name].size || strings.ContainsAny(value, "\r\n") {
		return bad("the trailer %s is not %d bytes in base64", name, checksums[name].size)
	}
	if h := c.sums[name]; h != nil && !bytes.Equal(h.Sum(nil), sum) {
		return bad("the trailer %s is not the checksum of what the body holds", name)
	}
	c.trailers = append(c.trailers, Trailer{Name: name, Value: value})
	return nil
}

func (c *checker) end() error {
	if len(c.trailers) != len(c.declared.Trailers) {
		return bad("the body lacks a trailer that X-Amz-Trailer announces")
	}
	if c.declared.Form.trailing() && c.declared.Form.signed() && !c.sealed {
		return bad("the body lacks x-amz-trailer-signature")
	}
	c.state = complete
	return nil
}

// finish is called where the stream ends.
func (c *checker) finish() error {
	if c.state != complete {
		return &Error{bodyfault.Wrap("the body breaks off before its end", io.ErrUnexpectedEOF)}
	}
	return nil
}
