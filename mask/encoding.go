package mask

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxCodings is how many content codings one answer may have on top of each
	// other. Each holds its window in memory.
	maxCodings = 4
	// zstdWindow is the largest window of a zstd frame, as RFC 9659 bounds it for
	// HTTP. Brotli's is 16 MiB by its format (RFC 7932), deflate's 32 KiB.
	zstdWindow = 8 << 20
)

// rooms are how many bytes taking a coding off holds at the most: its window, and what
// stands beside it.
var rooms = map[string]int64{"gzip": 128 << 10, "x-gzip": 128 << 10, "deflate": 128 << 10, "br": 17 << 20, "zstd": zstdWindow + 1<<20}

// Room is how many bytes taking off the content codings that h names holds at the most,
// however short the body is: its first bytes ask for the windows. 0 for none, and where
// it would not be tried.
func Room(h http.Header) int64 {
	list, err := codings(h)
	if err != nil {
		return 0
	}
	n := int64(0)
	for _, c := range list {
		n += rooms[c]
	}
	return n
}

// Room is how many bytes Apply holds for the content codings of an answer, beside the
// answer itself.
func (p *Plan) Room(status int, h http.Header) int64 {
	n := Room(h)
	switch {
	case n == 0, p.masker == nil:
		return 0
	case status >= 300, p.NeedsBody():
		return n + p.masker.maxBody // of what is decoded
	case p.decodes():
		return n
	}
	return 0
}

var (
	errCoding  = errors.New("its content encoding is not known")
	errCodings = errors.New("it has too many content encodings")
)

// codings are an answer's content codings in the order in which they were applied
// (RFC 9110, section 8.4).
func codings(h http.Header) ([]string, error) {
	var out []string
	for _, v := range h.Values("Content-Encoding") {
		for c := range strings.SplitSeq(v, ",") {
			switch c = strings.ToLower(strings.TrimSpace(c)); c {
			case "", "identity":
			case "gzip", "x-gzip", "deflate", "br", "zstd":
				out = append(out, c)
			default: // aws-chunked, compress, what comes next
				return nil, errCoding
			}
		}
	}
	if len(out) > maxCodings {
		return nil, errCodings
	}
	return out, nil
}

// decodeBody takes off the content codings. More than limit bytes at any stage are
// an error, and no more than that are made.
func decodeBody(h http.Header, wire []byte, limit int64) (plain []byte, decoded bool, err error) {
	list, err := codings(h)
	if err != nil || len(list) == 0 || len(wire) == 0 {
		return wire, false, err
	}
	r := decoders(bytes.NewReader(wire), list, limit)
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, false, err
	}
	return b, true, nil
}

// decodeStream is r without its content codings, of any length, in bounded memory.
// Nothing is read before the result is. A read fails with what r failed with, or
// says that the encoding is broken.
func decodeStream(h http.Header, r io.Reader) (plain io.Reader, decoded bool, err error) {
	list, err := codings(h)
	if err != nil || len(list) == 0 {
		return r, false, err
	}
	return decoders(r, list, -1), true, nil
}

func decoders(r io.Reader, list []string, limit int64) io.Reader {
	for _, coding := range slices.Backward(list) {
		r = &decoder{coding: coding, src: &source{r: r}, left: limit, limit: limit}
	}
	return r
}

// source remembers how reading ended, so that a broken connection is told from
// broken data.
type source struct {
	r    io.Reader
	err  error
	some bool
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.some = s.some || n > 0
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// decoder takes one coding off. It begins with the first read, since even a header
// is there only when AWS sends it.
type decoder struct {
	coding      string
	src         *source
	z           io.Reader
	left, limit int64 // of what is decoded; limit < 0: none
	err         error
}

func (d *decoder) Read(p []byte) (int, error) {
	if d.err != nil || len(p) == 0 {
		return 0, d.err
	}
	if d.limit >= 0 {
		p = p[:min(int64(len(p)), d.left+1)]
	}
	n, err := d.read(p)
	if d.limit >= 0 {
		if d.left -= int64(n); d.left < 0 {
			n, err = 0, fmt.Errorf("decoded it is larger than the %d bytes that mask.max_body allows", d.limit)
		}
	}
	d.err = err
	return n, err
}

func (d *decoder) read(p []byte) (int, error) {
	var err error
	if d.z == nil {
		d.z, err = open(d.coding, d.src)
	}
	n := 0
	if err == nil {
		n, err = d.z.Read(p)
	}
	switch {
	case err == nil:
		return n, nil
	case d.src.err != nil:
		err = d.src.err
	case !d.src.some: // no body at all, as that of a HEAD
		err = io.EOF
	case !errors.Is(err, io.EOF) || !d.ended():
		err = d.broken()
	}
	return n, err
}

func (d *decoder) broken() error {
	err := fmt.Errorf("its %s encoding is broken", d.coding)
	if d.limit < 0 {
		return refuseRest(err)
	}
	return err
}

// ended reports that nothing follows the encoded data: a client might read what
// does, and it was not looked at.
func (d *decoder) ended() bool {
	var b [1]byte
	r := io.Reader(d.src)
	if f, ok := d.z.(*framed); ok {
		r = f.b
	}
	n, err := io.ReadFull(r, b[:])
	return n == 0 && err == io.EOF
}

// framed is a decoder that may leave what follows its data in b.
type framed struct {
	io.Reader
	b *bufio.Reader
}

func open(coding string, r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if _, err := b.Peek(1); err != nil {
		return nil, err
	}
	var z io.Reader
	var err error
	switch coding {
	case "gzip", "x-gzip":
		z, err = gzip.NewReader(b)
	case "deflate":
		z, err = inflate(b)
	case "br":
		// It reads ahead and does not tell how far: it must end where its input does.
		return brotli.NewReader(b), nil
	case "zstd":
		// One goroutine less, and none to end: decoding is done by the reader's.
		z, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	}
	return &framed{z, b}, err
}

// inflate reads deflate as RFC 9110 means it, in zlib's frame, and as many servers
// send it, without.
func inflate(b *bufio.Reader) (io.Reader, error) {
	head, err := b.Peek(2)
	if len(head) == 2 && head[0]&0xf == 8 && head[0]>>4 <= 7 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	if len(head) == 0 {
		return nil, err
	}
	return flate.NewReader(b), nil
}
