package gateway

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/refusal"
)

// form is what has been begun to read of a form upload.
type form struct {
	body *digesting     // the whole of it, as the client sends it
	file *postform.File // its rest, left unread
}

// readForm reads the fields of a form upload, which S3 bounds to 20 KB, and leaves its
// file unread. They are the request's head: what is asked for, and the key whose id
// names the target, are in them. The head of every other request is returned as it is.
func (h *handler) readForm(ctx context.Context, x *exchange, head *awsapi.Head) (*awsapi.Head, error) {
	boundary, ok := head.FormUpload()
	if !ok {
		return head, nil
	}
	if _, err := h.memory.take(ctx, x, 2*postform.MaxHead); err != nil {
		return nil, busy(err)
	}
	body := h.digest(x, x.r.Body)
	f, err := postform.Read(body, boundary, x.r.ContentLength)
	var bad *postform.Error
	if errors.As(err, &bad) {
		return nil, refusal.Wrap(refusal.Malformed, err, "the form upload is not well formed: %s; nothing was sent to AWS", bad.Text())
	}
	if err != nil {
		return nil, err
	}
	x.form = &form{body: body, file: f.File}
	h.chooseTarget(x, awsapi.FormAccessKeyID(f))
	return head.WithForm(f, x.target.Account)
}
