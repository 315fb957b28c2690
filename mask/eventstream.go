package mask

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// The framing of application/vnd.amazon.eventstream (Smithy, "Amazon Event Stream
// Specification"): total length, headers' length, CRC-32 of these two; headers,
// payload; CRC-32 of all before it.
const (
	preludeSize     = 12
	frameOverhead   = preludeSize + 4
	maxFrame        = 16 << 20
	maxFrameHeaders = 128 << 10
)

var errFrame = errors.New("one of its events is not framed as it should be")

// eventReader masks an event stream as it is read. Each event is read whole before
// any of it is passed on.
type eventReader struct {
	events
	src    *bufio.Reader
	limit  int64 // of one frame
	out    []byte
	err    error
	encode *eventstream.Encoder
	decode *eventstream.Decoder
}

func newEventReader(p *Plan, w *walk, src io.Reader) *eventReader {
	return &eventReader{
		events: events{plan: p, walk: w, texts: map[string]*continued{}},
		src:    bufio.NewReader(src), limit: min(maxFrame, p.masker.maxBody),
		encode: eventstream.NewEncoder(), decode: eventstream.NewDecoder(),
	}
}

// Read gives the events that are ready. It waits for the next one only when there
// is none.
func (r *eventReader) Read(b []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.out = r.out[:0]
		r.err = r.next()
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}

// next takes one frame in, and puts out what is ready.
func (r *eventReader) next() error {
	raw, err := r.frame()
	switch {
	case errors.Is(err, io.EOF):
		r.finish()
	case err != nil:
		return err
	default:
		e, err := r.event(raw)
		if err != nil {
			return refuseRest(err)
		}
		r.enqueue(e)
	}
	for _, e := range r.ready() {
		out, e := r.render(e)
		if e != nil {
			return refuseRest(e)
		}
		r.out = append(r.out, out...)
	}
	return err
}

// frame reads one frame. io.EOF is the end between two of them.
func (r *eventReader) frame() ([]byte, error) {
	var prelude [preludeSize]byte
	if _, err := io.ReadFull(r.src, prelude[:]); err != nil {
		return nil, err
	}
	// The lengths are believed only when their own checksum is right: a wrong one
	// would have us wait for what never comes.
	total, headers := int64(binary.BigEndian.Uint32(prelude[:])), int64(binary.BigEndian.Uint32(prelude[4:]))
	switch {
	case crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]):
		return nil, refuseRest(errFrame)
	case headers > maxFrameHeaders || total < frameOverhead+headers:
		return nil, refuseRest(errFrame)
	case total > r.limit:
		return nil, refuseRest(fmt.Errorf("one of its events is larger than %d bytes", r.limit))
	}
	var buf bytes.Buffer
	buf.Write(prelude[:])
	// It grows with what comes, not with what is announced.
	if _, err := io.CopyN(&buf, r.src, total-preludeSize); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return buf.Bytes(), nil
}

// event decodes a frame, whose checksum must be right, and masks it.
func (r *eventReader) event(raw []byte) (*pending, error) {
	m, err := r.decode.Decode(bytes.NewReader(raw), nil)
	if err != nil {
		return nil, errFrame
	}
	// Of a header that comes twice one is dropped here, and readers differ on which.
	var headers bytes.Buffer
	if err := eventstream.EncodeHeaders(&headers, m.Headers); err != nil || !bytes.HasPrefix(raw[preludeSize:], headers.Bytes()) || headers.Len() != int(binary.BigEndian.Uint32(raw[4:])) {
		return nil, errFrame
	}
	return r.mask(raw, m)
}

// render is the frame as it goes out: byte for byte as it came, or made anew.
func (r *eventReader) render(e *pending) ([]byte, error) {
	payload := e.payload()
	if !e.edited && bytes.Equal(payload, e.sent) {
		return e.raw, nil
	}
	e.message.Payload = payload
	var buf bytes.Buffer
	if err := r.encode.Encode(&buf, e.message); err != nil {
		return nil, errFrame
	}
	return buf.Bytes(), nil
}
