package awsapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// maxRatio is how many bytes may come out of one compressed byte: deflate reaches
// 1032, and metrics, which are what clients compress, a tenth of that.
const maxRatio = 100

// decoded is the body as AWS reads it. The bytes that go on are the client's own;
// they can mean one thing only: one gzip member, nothing beside the data in it and
// nothing behind it. Only operations whose clients may compress are read so: for
// another, a service that takes no notice of Content-Encoding would find what it
// likes in a header or a stored block of the compressed form.
//
// In the query protocols the operation is inside, so it is decoded first and
// mayCompress asked after.
func (h *Head) decoded(body []byte) ([]byte, error) {
	values := h.req.Header.Values("Content-Encoding")
	if len(values) == 0 || len(body) == 0 {
		return body, nil
	}
	if len(values) != 1 || values[0] != "gzip" || h.req.Method != http.MethodPost {
		return nil, encoded("this request", values)
	}
	bad := func(why string) error {
		return refusal.New(refusal.Malformed, "the compressed body %s; turn request compression off (AWS_DISABLE_REQUEST_COMPRESSION=true)", why)
	}
	in := bytes.NewReader(body)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, bad("is not gzip")
	}
	z.Multistream(false)
	if z.Name != "" || z.Comment != "" || len(z.Extra) > 0 {
		return nil, bad("has a name, a comment or extra data in its header")
	}
	limit := min(MaxBody, int64(len(body))*maxRatio)
	out, err := io.ReadAll(io.LimitReader(z, limit+1))
	switch {
	case err != nil && (errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF)):
		return nil, bad("is damaged or cut off")
	case err != nil:
		return nil, bad("is not gzip")
	case int64(len(out)) > limit:
		return nil, bad("expands to more than is judged")
	case in.Len() > 0:
		return nil, bad("has bytes behind its end")
	}
	return out, nil
}

// mayCompress refuses a compressed body of an operation that takes none.
func (h *Head) mayCompress(m match, body []byte) error {
	values := h.req.Header.Values("Content-Encoding")
	if len(values) == 0 || len(body) == 0 || m.op.RequestCompression {
		return nil
	}
	return encoded(m.svc.ID+":"+m.op.Name, values)
}

func encoded(of string, values []string) error {
	return refusal.New(refusal.Unidentified, "the body of %s is encoded (%s) and cannot be judged; turn request compression off (AWS_DISABLE_REQUEST_COMPRESSION=true)",
		of, clip(strings.Join(values, ", ")))
}
