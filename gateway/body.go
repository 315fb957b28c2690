package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/spool"
	"github.com/sallyport/sallyport/refusal"
)

// readBody reads the whole body of a request that is judged by it. The body of
// an object stream stays unread (nil): it goes from the client's socket to AWS's.
// Memory is reserved before it is used, so that many large requests at once wait
// or are refused instead of exhausting the process.
func (h *handler) readBody(ctx context.Context, x *exchange, head *awsapi.Head) ([]byte, error) {
	if head.Streams() {
		return nil, nil
	}
	n := x.r.ContentLength
	if n > awsapi.MaxBody {
		return nil, tooLong()
	}
	if n == 0 {
		return []byte{}, nil
	}
	reserve := n
	if n < 0 {
		reserve = awsapi.MaxBody
	}
	if _, err := h.memory.take(ctx, x, reserve); err != nil {
		return nil, busy(err)
	}
	var buf bytes.Buffer
	if n > 0 {
		buf.Grow(int(n) + bytes.MinRead)
	}
	_, err := io.Copy(&buf, http.MaxBytesReader(nil, x.r.Body, awsapi.MaxBody))
	var tooMany *http.MaxBytesError
	switch {
	case errors.As(err, &tooMany):
		return nil, tooLong()
	case err != nil:
		return nil, refusal.Wrap(refusal.Malformed, err, "the request's body broke off or was badly framed")
	}
	return buf.Bytes(), nil
}

// spool reads a streaming body whose hash must be in the signature (Lambda's Invoke,
// Glacier's archives: everything but S3). It happens before the credential is made,
// which lives a minute only, and after the decision: what is denied is never read.
// Room is reserved first, since records may lie on the same disk.
func (h *handler) spool(ctx context.Context, x *exchange, p *permit) error {
	if !p.call.Canonical().NeedsHash() || p.spool != nil {
		return nil
	}
	return h.spoolWhole(ctx, x, p)
}

// spoolWhole is spool for any body that streams.
func (h *handler) spoolWhole(ctx context.Context, x *exchange, p *permit) error {
	n := x.r.ContentLength
	if n > maxSpooled {
		return tooLongToSpool()
	}
	if n < 0 {
		n = maxSpooled
	}
	memory, err := h.memory.take(ctx, x, min(n, spool.InMemory))
	if err != nil {
		return busy(err)
	}
	disk, err := h.disk.take(ctx, x, n)
	if err != nil {
		return busy(err)
	}
	s, err := spool.Read(x.r.Body, maxSpooled, h.SpoolDir)
	var broken *spool.DiskError
	switch {
	case errors.Is(err, spool.ErrTooLong):
		return tooLongToSpool()
	case errors.As(err, &broken):
		h.Log.ErrorContext(ctx, "a body could not be kept on disk", "requestID", x.id, "err", broken.Err)
		return refusal.Wrap(refusal.Unavailable, err, "the gateway has no room for the request's body; nothing was sent to AWS, try again later")
	case err != nil:
		return refusal.Wrap(refusal.Malformed, err, "the request's body broke off or was badly framed")
	}
	memory.shrink(s.Size())
	disk.shrink(s.Size())
	p.spool = s
	x.release = append(x.release, s.Close)
	return nil
}

// roomToStream takes x's place among the requests whose bodies stream, either way. A call
// that people approved has it: there are few, their bodies were read before, and the
// approval would be lost.
func (h *handler) roomToStream(ctx context.Context, x *exchange) error {
	if x.ask != nil || !x.call.Canonical().Streams() && !x.call.StreamingOutput && !x.call.EventStreamOutput {
		return nil
	}
	if _, err := h.streams.take(ctx, x, 1); err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "as many bodies stream at once as may (%d of one identity); nothing was sent to AWS, try again when one has ended", maxStreamsShare)
	}
	return nil
}

func busy(err error) error {
	return refusal.Wrap(refusal.Unavailable, err, "the gateway is busy with other large requests; nothing was sent to AWS, try again later")
}

func tooLong() error {
	return refusal.New(refusal.Malformed, "the body is longer than %d MiB, the most that is read of a request that is judged by its body; objects (s3:PutObject and the like) have no limit", awsapi.MaxBody>>20)
}

func tooLongToSpool() error {
	return refusal.New(refusal.Malformed, "the body is longer than %d MiB, the most that is kept of a body which must be hashed before it is sent; send x-amz-content-sha256: UNSIGNED-PAYLOAD if the service takes it", maxSpooled>>20)
}
