package mask

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/refusal"
)

// Widened is the part of an object that is asked of AWS so that the part that the
// client asked for is masked as it would be in the whole object: with what stands
// around it. The zero value is a request without a range, or one whose answer is not
// masked.
type Widened struct {
	// Header is the Range to send; "" leaves the request's as it is.
	Header string
	// Whole says that the request's partNumber is not sent: the answer is the object,
	// as its one part.
	Whole bool

	asked       string // the client's header
	first, last int64  // of what it asked for; first < 0: the last `last` bytes; last < 0: to the end
	xml         bool
}

// Range widens the request's Range header (RFC 9110, section 14.2), "" if it has
// none, by the length of text that a detector may need on both sides. It is used
// before the call is sent; the error is a *refusal.Error of reason Denied: one range
// of bytes is all that can be cut out of what is masked.
func (p *Plan) Range(header string) (Widened, error) {
	if p.onePart && header == "" {
		return Widened{Whole: true}, nil
	}
	if header == "" || !p.masksObject() {
		return Widened{}, nil
	}
	deny := func(what string) (Widened, error) {
		return Widened{}, refusal.New(refusal.Denied, "the object is masked on its way, and %s; ask for one range of bytes (Range: bytes=0-1023) or for the whole object. The call was not made", what)
	}
	if p.onePart {
		return deny("both a range and a part are asked for")
	}
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return deny("its Range header has another unit than bytes")
	}
	if strings.Contains(spec, ",") {
		return deny("its Range header asks for several ranges")
	}
	from, to, ok := strings.Cut(strings.TrimSpace(spec), "-")
	w := Widened{asked: header, first: -1, last: -1, xml: p.protocol == "rest-xml"}
	if from != "" {
		w.first = position(from)
		ok = ok && w.first >= 0
	}
	if to != "" {
		w.last = position(to)
		ok = ok && w.last >= 0
	}
	if !ok || from == "" && to == "" || w.first >= 0 && to != "" && w.last < w.first {
		return deny("its Range header cannot be read")
	}
	switch {
	case w.first < 0:
		w.Header = fmt.Sprintf("bytes=-%d", w.last+detect.Window)
		if w.last == 0 { // AWS refuses it as it should
			w.Header = "bytes=-0"
		}
	case w.last < 0:
		w.Header = fmt.Sprintf("bytes=%d-", max(0, w.first-detect.Window))
	default:
		w.Header = fmt.Sprintf("bytes=%d-%d", max(0, w.first-detect.Window), w.last+detect.Window)
	}
	return w, nil
}

// position reads a number of bytes, -1 if it is none. S3's objects are smaller than
// 2^50 bytes, and sums must not overflow.
func position(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 50)
	if err != nil || s[0] == '+' {
		return -1
	}
	return int64(n)
}

// Cut cuts what was asked for out of the answer that Apply has masked.
func (w Widened) Cut(status int, r Result) (int, Result, error) {
	if w.Whole {
		return w.onePart(status, r)
	}
	if w.Header == "" {
		return status, r, nil
	}
	if status == http.StatusRequestedRangeNotSatisfiable {
		// S3's text names the range that was asked for.
		r.Body = []byte(strings.ReplaceAll(string(r.Body), w.Header, w.asked))
		r.Header.Set("Content-Length", strconv.Itoa(len(r.Body)))
		return status, r, nil
	}
	if status != http.StatusPartialContent || r.Stream == nil {
		return status, r, nil
	}
	start, end, total, err := contentRange(r.Header)
	if err != nil {
		return 0, Result{}, refuse(err)
	}
	first, last := w.first, w.last
	if first < 0 {
		first, last = max(0, total-w.last), total-1
	}
	if last < 0 || last >= total {
		last = total - 1
	}
	if first >= total {
		return http.StatusRequestedRangeNotSatisfiable, w.unsatisfiable(r, total), nil
	}
	if start > first || end < last || first-start > detect.Window {
		return 0, Result{}, refuse(errors.New("AWS sent another range than it was asked for"))
	}
	r.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, total))
	r.Header.Set("Content-Length", strconv.FormatInt(last-first+1, 10))
	r.Stream = &cutReader{r: r.Stream, skip: first - start, left: last - first + 1}
	return status, r, nil
}

// onePart makes the whole object what S3 answers where its first part is asked for
// and there is no other. An empty object, and one of unknown length (it was decoded),
// stay as they are: that they are whole is all that a client needs to know.
func (w Widened) onePart(status int, r Result) (int, Result, error) {
	if n := position(r.Header.Get("Content-Length")); status == http.StatusOK && r.Stream != nil && n > 0 {
		r.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", n-1, n))
		status = http.StatusPartialContent
	}
	return status, r, nil
}

// contentRange reads Content-Range (RFC 9110, section 14.4). Without it the answer is
// of several parts.
func contentRange(h http.Header) (start, end, total int64, err error) {
	bad := errors.New("the answer does not say which part of the object it is")
	rest, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 || from == "" || to == "" || size == "" {
		return 0, 0, 0, bad
	}
	start, end, total = position(from), position(to), position(size)
	if start < 0 || end < start || total <= end {
		return 0, 0, 0, bad
	}
	return start, end, total, nil
}

// unsatisfiable is AWS's answer to a range behind the object's end, which the widened
// range was not.
func (w Widened) unsatisfiable(r Result, total int64) Result {
	const message = "The requested range is not satisfiable"
	h := r.Header
	for k := range h {
		if l := strings.ToLower(k); l != "date" && l != "server" && !strings.HasPrefix(l, "x-amz-request-id") && l != "x-amz-id-2" && l != "x-amzn-requestid" {
			delete(h, k)
		}
	}
	body := `{"code":"InvalidRange","message":"` + message + `"}`
	h.Set("Content-Type", "application/json")
	if w.xml {
		// RangeRequested has only digits, one hyphen and "bytes=": position read it.
		body = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<Error><Code>InvalidRange</Code><Message>` + message + `</Message><RangeRequested>` + w.asked +
			`</RangeRequested><ActualObjectSize>` + strconv.FormatInt(total, 10) + `</ActualObjectSize><RequestId>` + h.Get("X-Amz-Request-Id") + `</RequestId></Error>`
		h.Set("Content-Type", "application/xml")
	}
	h.Set("Content-Range", fmt.Sprintf("bytes */%d", total))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return Result{Header: h, Body: []byte(body), found: r.found}
}

// cutReader gives left bytes of r behind the first skip.
type cutReader struct {
	r          io.Reader
	skip, left int64
}

func (c *cutReader) Read(p []byte) (int, error) {
	for c.skip > 0 {
		n, err := c.r.Read(p[:min(int64(len(p)), c.skip)])
		c.skip -= int64(n)
		if err != nil {
			return 0, c.short(err)
		}
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF && c.left == 0 {
		return n, nil
	}
	return n, c.short(err)
}

// short is the end of an answer that is shorter than it said.
func (c *cutReader) short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
