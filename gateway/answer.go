package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/refusal"
)

// requestIDHeader is on every answer, allowed or not.
const requestIDHeader = "X-Sallyport-Request-Id"

// hopByHop are the headers of one connection (RFC 9110, section 7.6.1), and
// those that would speak to the agent's HTTP stack in AWS's name.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Set-Cookie", "Alt-Svc",
	"Authorization", "X-Amz-Security-Token", // no API answers with them; an echo would be the gateway's own
}

// answer gives AWS's answer to the client: masked where it has to be, streamed
// where it can be, and recorded either way.
func (h *handler) answer(ctx context.Context, x *exchange, p *permit, resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	x.stage, x.status = "mask", resp.StatusCode
	if resp.StatusCode < 200 {
		return refusal.New(refusal.Unavailable, "AWS answered with an interim status %d, which is not carried on", resp.StatusCode)
	}
	res, err := h.masked(ctx, x, p, resp)
	if resp.StatusCode >= 300 && h.stopUpload(x, p) {
		// net/http takes a read that ends by itself for a client that has left, and ends
		// the context. What cuts a request off is in x.cut.
		ctx = context.WithoutCancel(ctx)
	}
	if err != nil {
		return err
	}
	status, res, err := p.part.Cut(resp.StatusCode, res)
	if err != nil {
		return err
	}
	if res.Stream != nil {
		return h.answerStream(ctx, x, p, status, res)
	}
	return h.answerWhole(ctx, x, p, status, res)
}

// masked is the answer as the client may see it. One that ends an upload (an error)
// has been read to its end: a request whose body breaks takes its connection along.
func (h *handler) masked(ctx context.Context, x *exchange, p *permit, resp *http.Response) (mask.Result, error) {
	header := resp.Header.Clone()
	for _, name := range hopByHop {
		header.Del(name)
	}
	// AWS's error texts echo what was signed: they are always read and scrubbed.
	body := io.Reader(resp.Body)
	if p.plan.NeedsBody() || resp.StatusCode >= 300 {
		body = &reserving{ctx: ctx, r: resp.Body, h: h, x: x}
	}
	if room := min(p.plan.Room(resp.StatusCode, header), maxShare/2); room > 0 { // the answer itself takes some, too
		if _, err := h.memory.take(ctx, x, room); err != nil {
			return mask.Result{}, noRoomToMask(err)
		}
	}
	return p.plan.Apply(ctx, resp.StatusCode, header, body)
}

// answerWhole records an answer that was read whole before its first byte goes out.
func (h *handler) answerWhole(ctx context.Context, x *exchange, p *permit, status int, res mask.Result) error {
	h.countMasked(res)
	sum := sha256.Sum256(res.Body)
	if x.r.Method == http.MethodHead && p.plan.Secret() {
		res.Header.Del("Content-Length") // of the secret that a GET would mask
	}
	recorded, pieces, err := h.recordWhole(ctx, x, p, status, res)
	if err != nil {
		return err
	}
	out := outcome{status: status, header: res.Header, size: int64(len(res.Body)), sha256: hex.EncodeToString(sum[:]), findings: res.Findings(), recorded: recorded, pieces: pieces}
	if failed := h.recordResponse(ctx, x, out); failed != nil {
		return failed
	}
	left := x.r.Context().Err() != nil
	h.keep(x, p, status, res.Header, res.Body, int64(len(res.Body)), left)
	h.writeHeader(x, res.Header, status)
	if _, err := x.w.Write(res.Body); err != nil && x.r.Method != http.MethodHead {
		h.cut(x, h.clientLeft())
	}
	h.delivered(x, left)
	if status >= 300 && p.body != nil && p.spool == nil {
		h.linger(x)
	}
	return nil
}

// atOnce is what is read, hashed and written at a time of what streams: eight TLS
// records, which mitm carries with one system call.
const atOnce = 128 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, atOnce); return &b }}

// recordResponse makes the end of an exchange durable, and with it what is left of its
// bodies. Until it returns nil, no client may see a complete answer.
func (h *handler) recordResponse(ctx context.Context, x *exchange, out outcome) *refusal.Error {
	sent, events, failed := x.upload.end()
	if failed != nil {
		return failed
	}
	out.sent = sent
	if err := h.Append(ctx, append(append(events, out.pieces...), h.responseEvent(x, out))...); err != nil {
		x.ended = errors.Is(err, recorder.ErrUnconfirmed)
		return h.notDurableAnswer(err)
	}
	x.ended = true
	return nil
}

// answerStream passes the answer on as it comes, each read flushed, so that event
// streams arrive when they are sent. Its end is withheld until it is on record: the last
// byte where the length is known, else the terminating chunk, which net/http sends when
// the handler returns. If either side breaks off, or the record does, the client's
// connection is cut: an answer must never look complete when it is not.
func (h *handler) answerStream(ctx context.Context, x *exchange, p *permit, status int, res mask.Result) error {
	x.passed, x.download = newDigesting(nil), h.recordAnswer(ctx, x, p, status, res.Header)
	x.release = append(x.release, func() { x.passed.sum() }) // cut panics, and what hashes must end then too
	s := newStreamed(x, res.Stream, status, res.Header)
	h.survive(ctx, s)
	if !s.headless {
		h.writeHeader(x, res.Header, status)
	}
	if err := s.pass(); err != nil {
		if err == errClientLeft || ctx.Err() != nil && err.Reason == refusal.Unavailable { // which ends the read from AWS too
			err = h.clientLeft()
		}
		if s.headless {
			return err
		}
		h.cut(x, err)
	}
	h.countMasked(res)
	_ = x.download.Close()
	recorded, pieces, failed := x.download.end()
	sum, size := x.passed.sum()
	out := outcome{status: status, header: res.Header, size: size, sha256: sum, findings: res.Findings(), recorded: recorded, pieces: pieces}
	if failed == nil {
		failed = h.recordResponse(ctx, x, out)
	}
	switch {
	case failed != nil && s.headless:
		return failed
	case failed != nil:
		h.cut(x, failed)
	}
	left := s.left()
	h.keep(x, p, status, res.Header, s.kept, size, left)
	if s.headless {
		h.writeHeader(x, res.Header, status)
	}
	if _, err := x.w.Write(s.last); err != nil && len(s.last) > 0 {
		h.cut(x, h.clientLeft())
	}
	h.delivered(x, left)
	return nil
}

func (h *handler) writeHeader(x *exchange, header http.Header, status int) {
	x.stage = "answer"
	dst := x.w.Header()
	for name, values := range header {
		dst[name] = values
	}
	dst.Set(requestIDHeader, x.id)
	x.w.WriteHeader(status)
}

func (h *handler) notDurableAnswer(err error) *refusal.Error {
	h.Metrics.unrecorded.Inc()
	return refusal.Wrap(refusal.Unavailable, err, "AWS acted on the request, but its answer could not be recorded and is withheld")
}

func (h *handler) countMasked(res mask.Result) {
	for _, f := range res.Findings() {
		h.Metrics.masked.Add(float64(f.Count))
	}
}

// reserving reads an answer that is held in memory, and reserves that memory before
// it reads: how much comes is not known where AWS sends chunks.
type reserving struct {
	ctx       context.Context
	r         io.Reader
	h         *handler
	x         *exchange
	read, got int64
}

func (r *reserving) Read(p []byte) (int, error) {
	if r.read == r.got {
		more := min(max(r.got, minReserve), maxShare)
		if _, err := r.h.memory.take(r.ctx, r.x, more); err != nil {
			return 0, noRoomToMask(err)
		}
		r.got += more
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.got-r.read)])
	r.read += int64(n)
	return n, err
}

func noRoomToMask(err error) *refusal.Error {
	return refusal.Wrap(refusal.Unavailable, err, "AWS has answered, but the gateway has no memory left to mask so large an answer; it is withheld, try again later")
}

// minReserve is what an answer reserves at first, in bytes; it doubles from there.
const minReserve = 64 << 10

// outcome is what an exchange came to, for the response event.
type outcome struct {
	status   int
	header   http.Header
	size     int64
	sha256   string
	findings []mask.Finding

	recorded *event.Recorded // what of the answer's body is on record
	pieces   []event.Event   // and what is still to be recorded of it
	sent     *event.Recorded // of a request's body that streamed
}
