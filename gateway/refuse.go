package gateway

import (
	"context"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/refusal"
)

// refuse ends a walk: it records the refusal and answers in the protocol that
// the client spoke. A refusal needs no durable record to be given, since nothing
// of it reaches AWS; a record that fails is logged and counted.
func (h *handler) refuse(x *exchange, e *refusal.Error) {
	h.Metrics.refusals.WithLabelValues(string(e.Reason)).Inc()
	attrs := []any{"requestID", x.id, "reason", string(e.Reason), "message", h.Masker.Text(e.Message)}
	if e.Err != nil {
		attrs = append(attrs, "cause", h.Masker.Text(e.Err.Error()))
	}
	h.Log.InfoContext(x.r.Context(), "refused", attrs...)
	status, header, body := refusal.Render(x.shape, e, x.id)
	h.recordRefusal(x, status, e)
	dst := x.w.Header()
	for name, values := range header {
		dst[name] = values
	}
	if x.r.Method != http.MethodHead {
		dst.Set("Content-Length", strconv.Itoa(len(body)))
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
	h.linger(x)
}

// recordRefusal chooses the events by how far the walk came.
func (h *handler) recordRefusal(x *exchange, status int, e *refusal.Error) {
	ctx := x.r.Context()
	switch {
	case x.session == nil:
		h.recordRefused(ctx, x.caller, x.r.UserAgent(), status, e)
	case x.ended: // its end is on record, though nobody could wait for that
	case x.recorded: // after Begin: AWS may have been reached
		h.recordAborted(ctx, x, e)
	case x.ask != nil && x.ask.receipt != nil: // the request is on record
		h.record(ctx, x, h.decisionEvent(x, e))
	case x.decision != nil:
		h.record(ctx, x, h.requestEvent(x), h.decisionEvent(x, e))
	default:
		h.record(ctx, x, h.refusedEvent(x, status, e))
	}
}

// record is Append where nothing depends on it any more.
func (h *handler) record(ctx context.Context, x *exchange, events ...event.Event) {
	if err := h.Append(ctx, events...); err != nil {
		h.Metrics.unrecorded.Inc()
		h.Log.ErrorContext(ctx, "an event could not be recorded", "requestID", x.id, "cause", err.Error())
	}
}

// recordAborted records that an exchange broke off, with what had gone either way.
func (h *handler) recordAborted(ctx context.Context, x *exchange, e *refusal.Error) {
	h.Metrics.aborted.Inc()
	sent, events, _ := x.upload.end() // a body that could not be recorded is told with what was
	passed, more, _ := x.download.end()
	h.record(ctx, x, append(append(events, more...), h.abortedEvent(x, e, sent, passed))...)
}

// recordRefused records a refusal outside any session: of a CONNECT, or of a caller
// without an identity. Anybody who reaches the port can cause these: they are
// rate-limited, and callers without a token are all counted in
// sallyport_unauthenticated_total.
func (g *Gateway) recordRefused(ctx context.Context, who *caller, userAgent string, status int, e *refusal.Error) {
	if !g.refused.Allow() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := g.Recorder.Append(ctx, g.outsideEvent(who, userAgent, status, e)); err != nil {
		g.Metrics.unrecorded.Inc()
		g.Log.ErrorContext(ctx, "a refusal could not be recorded", "cause", err.Error())
	}
}

// cut ends an exchange whose answer has begun and cannot be finished: on record
// as aborted, and the client's connection closed, so that the answer cannot look
// complete.
func (h *handler) cut(x *exchange, e *refusal.Error) {
	e = x.revoked(e)
	if x.recorded && !x.ended {
		h.recordAborted(x.r.Context(), x, e)
	}
	panic(http.ErrAbortHandler)
}
