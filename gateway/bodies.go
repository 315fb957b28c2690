package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/refusal"
)

// This file says what of the bodies of an exchange is put on record, and masked how.

// bodyTape is where a body of x is recorded, and whether its rules want that.
func (h *handler) bodyTape(ctx context.Context, x *exchange, part, contentType string) (t *tape, wanted bool) {
	r := x.decision.RecordOr(h.Record)
	limit := int64(0)
	if r.BodyLimit != nil {
		limit = int64(*r.BodyLimit)
	}
	return h.newTape(ctx, x, part, contentType, limit), r.Bodies != policy.BodiesDigest
}

// recordJudged puts a body that was judged on record before anything is sent. Its
// readable form is the call's parameters, which are masked by their names; where the
// request event has them whole, that is the record, and nothing is said twice.
func (h *handler) recordJudged(ctx context.Context, x *exchange) error {
	c := x.call.Canonical()
	if c.Streams() || len(c.Body()) == 0 {
		return nil
	}
	params := h.params(x)
	if event.Whole(params) {
		return nil
	}
	t, wanted := h.bodyTape(ctx, x, event.PartRequest, event.ParametersType)
	t.rec.Form = event.FormParameters
	if !wanted {
		t.drop(event.OmittedMode)
		x.judged = t.told("")
		return nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(params); err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "the parameters of this request could not be recorded, so it was not sent")
	}
	rec, rest, failed := t.whole(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	if failed == nil && len(rest) > 0 {
		ctx, cancel := context.WithTimeout(ctx, recordTimeout)
		defer cancel()
		if err := h.Recorder.Queue(ctx, rest...); err != nil {
			return h.notDurable(err)
		}
	}
	if failed != nil {
		return h.notDurable(failed)
	}
	x.judged = rec
	return nil
}

// judgedBody is what recordJudged has recorded. Of a request that is denied nothing is
// recorded beside its events.
func (h *handler) judgedBody(x *exchange) *event.Recorded {
	switch c := x.call.Canonical(); {
	case x.judged != nil:
		return x.judged
	case c.Streams() || len(c.Body()) == 0:
		return nil
	case event.Whole(h.params(x)):
		return &event.Recorded{Form: event.FormParameters, ContentType: event.ParametersType}
	}
	return &event.Recorded{Form: event.FormParameters, Omitted: event.OmittedDenied}
}

// params are the call's parameters as they may be published.
func (h *handler) params(x *exchange) map[string]any {
	if x.params == nil {
		x.params = h.Masker.Params(x.call.RecordParams())
	}
	return x.params
}

// recordUpload puts a streamed body on record while it goes out: what the object is,
// without chunks and content codings, with what the detectors find overwritten.
func (h *handler) recordUpload(ctx context.Context, x *exchange, c awsapi.Canonical) *copying {
	header := c.Header()
	t, wanted := h.bodyTape(ctx, x, event.PartRequest, header.Get("Content-Type"))
	t.object = true
	switch {
	case !wanted:
		x.upload = t.nothing(event.OmittedMode)
		return x.upload
	case x.call.SensitivePayload():
		x.upload = t.nothing(event.OmittedSensitive)
		return x.upload
	case !h.roomToDecode(x, mask.RoomOfObject(header)):
		x.upload = t.nothing(event.OmittedEncoded)
		return x.upload
	}
	x.upload = t.maskedBy(func(r io.Reader) (io.Reader, error) {
		if c.Chunks().Form != awschunked.None && x.form == nil {
			data, err := awschunked.NewDecoder(r, c.Chunks())
			if err != nil {
				return nil, err
			}
			r = data
		}
		return h.Masker.Object(header, r)
	}, h.edges(partOfUpload(x.call)))
	x.release = append(x.release, func() { _, _, _ = x.upload.end() })
	return x.upload
}

// roomToDecode reserves what decoding a body for the record holds, n bytes. A body of a
// few bytes can ask for windows of several MiB, and its client may then keep it open.
// Nobody waits for that: what there is no room for is recorded as encoded.
func (h *handler) roomToDecode(x *exchange, n int64) bool {
	return n == 0 || h.memory.takeNow(x, n)
}

// partOfUpload says at which sides a body is cut out of an object that is uploaded in
// parts.
func partOfUpload(c *awsapi.Call) edges {
	if !strings.Contains(c.Operation, "UploadPart") && !strings.Contains(c.Operation, "UploadMultipartPart") {
		return edges{}
	}
	n, _ := c.Params()["PartNumber"].(json.Number)
	return edges{front: n != "1", back: true}
}

// edges are e where there are detectors: without any nothing could be found across a cut.
func (h *handler) edges(e edges) edges {
	if !h.Masker.Detects() {
		return edges{}
	}
	return e
}

// recordAnswer puts an answer that streams on record while it goes to the client.
func (h *handler) recordAnswer(ctx context.Context, x *exchange, p *permit, status int, header http.Header) *copying {
	t, wanted := h.bodyTape(ctx, x, event.PartResponse, header.Get("Content-Type"))
	t.object = x.call.StreamingOutput
	if !wanted {
		return t.nothing(event.OmittedMode)
	}
	again, err := h.Masker.PlanRecord(x.call, p.plan, x.decision.Mask, x.decision.MaskAs)
	switch {
	case err != nil:
		return t.nothing(event.OmittedMasking)
	case again == nil: // the agent gets what may be recorded
		return t.record()
	case again.NeedsBody():
		return t.nothing(event.OmittedSensitive)
	}
	e, ok := partOfObject(status, header)
	if !ok {
		return t.nothing(event.OmittedPart)
	}
	if !h.roomToDecode(x, again.Room(status, header)) {
		return t.nothing(event.OmittedEncoded)
	}
	down := t.maskedBy(func(r io.Reader) (io.Reader, error) {
		res, err := again.Apply(ctx, status, header, r)
		if err == nil && res.Stream == nil {
			err = errors.New("gateway: an answer that streams was read whole")
		}
		return res.Stream, err
	}, h.edges(e))
	x.release = append(x.release, func() { _, _, _ = down.end() })
	return down
}

// partOfObject says at which sides an answer is cut out of an object. ok is false for
// several parts at once.
func partOfObject(status int, h http.Header) (e edges, ok bool) {
	if status != http.StatusPartialContent {
		return edges{}, true
	}
	span, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	if !ok {
		return edges{}, false
	}
	first, rest, _ := strings.Cut(span, "-")
	last, total, _ := strings.Cut(rest, "/")
	end, err := strconv.ParseInt(last, 10, 64)
	all, err2 := strconv.ParseInt(total, 10, 64)
	return edges{front: first != "0", back: err != nil || err2 != nil || end != all-1}, true
}

// recordWhole puts an answer that was read whole on record, but for the event that it
// gives: that belongs to the response event.
func (h *handler) recordWhole(ctx context.Context, x *exchange, p *permit, status int, res mask.Result) (*event.Recorded, []event.Event, error) {
	if len(res.Body) == 0 {
		return nil, nil, nil
	}
	t, wanted := h.bodyTape(ctx, x, event.PartResponse, res.Header.Get("Content-Type"))
	if !wanted {
		t.drop(event.OmittedMode)
		return t.told(""), nil, nil
	}
	body, err := h.maskedAgain(ctx, x, p, status, res)
	var busy *refusal.Error
	if errors.As(err, &busy) && busy.Reason == refusal.Unavailable { // no memory: nobody has seen the answer
		return nil, nil, busy
	}
	if err != nil {
		t.drop(event.OmittedMasking)
		body = nil
	}
	rec, events, failed := t.whole(body)
	if failed != nil {
		return nil, nil, failed
	}
	return rec, events, nil
}

// maskedAgain is the body of an answer that was read whole as it may be recorded.
func (h *handler) maskedAgain(ctx context.Context, x *exchange, p *permit, status int, res mask.Result) ([]byte, error) {
	again, err := h.Masker.PlanRecord(x.call, p.plan, x.decision.Mask, x.decision.MaskAs)
	if err != nil {
		return nil, err
	}
	if again == nil {
		return res.Body, nil
	}
	if _, err := h.memory.take(ctx, x, int64(len(res.Body))); err != nil {
		return nil, refusal.Wrap(refusal.Unavailable, err, "AWS has answered, but the gateway has no memory left to record so large an answer; it is withheld, try again later")
	}
	r, err := again.Apply(ctx, status, res.Header, bytes.NewReader(res.Body))
	if err == nil && r.Stream != nil {
		return io.ReadAll(r.Stream)
	}
	return r.Body, err
}
