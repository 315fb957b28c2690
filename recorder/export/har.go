package export

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// HTTP Archive 1.2 (w3c.github.io/web-performance/specs/HAR). Names that begin with
// an underscore are ours, as the format asks.

type harEntry struct {
	Started   string      `json:"startedDateTime"` // ISO 8601
	Time      int64       `json:"time"`            // ms
	Request   harRequest  `json:"request"`
	Response  harResponse `json:"response"`
	Cache     struct{}    `json:"cache"`
	Timings   harTimings  `json:"timings"`
	Comment   string      `json:"comment,omitempty"`
	RequestID string      `json:"_requestID"`
	Result    string      `json:"_result"`
	Operation string      `json:"_operation,omitempty"`
	Resources []string    `json:"_resources,omitempty"`
	Rules     []string    `json:"_rules,omitempty"`
	Approvers string      `json:"_approvers,omitempty"`
}

type harRequest struct {
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	HTTPVersion string    `json:"httpVersion"`
	Cookies     []harPair `json:"cookies"`
	Headers     []harPair `json:"headers"`
	QueryString []harPair `json:"queryString"`
	PostData    *harPost  `json:"postData,omitempty"`
	HeadersSize int       `json:"headersSize"`
	BodySize    int64     `json:"bodySize"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harPost struct {
	MimeType string `json:"mimeType"`
	Text     string `json:"text"`
	Comment  string `json:"comment,omitempty"`
}

type harResponse struct {
	Status      int        `json:"status"` // 0: AWS was not asked
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harPair  `json:"cookies"`
	Headers     []harPair  `json:"headers"`
	Content     harContent `json:"content"`
	RedirectURL string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int64      `json:"bodySize"`
}

type harContent struct {
	Size     int64  `json:"size"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

type harTimings struct {
	Send    int64 `json:"send"`
	Wait    int64 `json:"wait"`
	Receive int64 `json:"receive"`
}

// MaxHARBody is the most bytes of one body that a HAR holds; more is cut, and says so.
const MaxHARBody = 4 << 20

type harWriter struct {
	w      *bufio.Writer
	bodies Bodies
	some   bool
}

func newHAR(w io.Writer, version string, bodies Bodies) (*harWriter, error) {
	buf := bufio.NewWriter(w)
	creator, err := json.Marshal(map[string]string{"name": "Sallyport", "version": cmp.Or(version, "unknown")})
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(buf, `{"log":{"version":"1.2","creator":%s,"entries":[`, creator)
	return &harWriter{w: buf, bodies: bodies}, err
}

func (h *harWriter) Write(c *recorder.Call) error {
	e, err := h.entry(c)
	if err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if h.some {
		if err := h.w.WriteByte(','); err != nil {
			return err
		}
	}
	h.some = true
	_, err = h.w.Write(append([]byte("\n"), text...))
	return err
}

func (h *harWriter) Close() error {
	if _, err := h.w.WriteString("\n]}}\n"); err != nil {
		return err
	}
	return h.w.Flush()
}

func (h *harWriter) entry(c *recorder.Call) (harEntry, error) {
	o := c.Operation()
	e := harEntry{
		Started: c.Time().UTC().Format(time.RFC3339Nano), RequestID: c.ID, Result: string(c.Result()), Approvers: c.Approvers(), Comment: message(c),
		Request:  harRequest{HTTPVersion: "HTTP/1.1", Cookies: []harPair{}, Headers: []harPair{}, QueryString: []harPair{}, HeadersSize: -1, BodySize: -1},
		Response: harResponse{HTTPVersion: "HTTP/1.1", Cookies: []harPair{}, Headers: []harPair{}, HeadersSize: -1, BodySize: -1, Content: harContent{MimeType: "application/octet-stream"}},
	}
	if o.EventName != "" {
		e.Operation = o.Service + ":" + o.EventName
	}
	if c.Decision != nil {
		e.Rules = c.Decision.Rules
	}
	if end := c.End(); !end.IsZero() {
		e.Time = max(end.Sub(c.Time()).Milliseconds(), 0)
		e.Timings.Wait = e.Time
	}
	host, path := "unknown", "/"
	switch {
	case c.Request != nil:
		e.Request.Method, host, path = c.Request.Method, c.Request.Host, c.Request.Path
		for _, r := range c.Request.Resources {
			e.Resources = append(e.Resources, r.ARN)
		}
		if b := c.Request.RequestBody; b != nil {
			e.Request.BodySize = b.Size
		}
	case c.Refused != nil:
		e.Request.Method, host, path = c.Refused.Method, cmp.Or(c.Refused.Host, host), cmp.Or(c.Refused.Path, path)
	}
	e.Request.Method = cmp.Or(e.Request.Method, "GET")
	e.Request.URL = "https://" + host + path
	if ua := c.Head().UserAgent; ua != "" {
		e.Request.Headers = append(e.Request.Headers, harPair{"User-Agent", ua})
	}
	e.Response.Status = c.Status()
	e.Response.StatusText = http.StatusText(e.Response.Status)
	if code, text := c.Error(); code != "" && e.Response.StatusText == "" {
		e.Response.StatusText = code + ": " + text
	}
	if c.Response != nil && c.Response.ResponseBody != nil {
		e.Response.BodySize, e.Response.Content.Size = c.Response.ResponseBody.Size, c.Response.ResponseBody.Size
	}
	return e, h.fill(&e, c)
}

// fill puts bodies in, as far as they are on record.
func (h *harWriter) fill(e *harEntry, c *recorder.Call) error {
	sent, cut, err := h.body(c, event.PartRequest)
	if err != nil {
		return err
	}
	if e.Request.PostData, err = posted(c, sent, cut); err != nil {
		return err
	}
	got, cut, err := h.body(c, event.PartResponse)
	if err != nil || got == nil && !cut {
		return err
	}
	t := &e.Response.Content
	t.Comment = note(got, cut)
	if got == nil {
		return nil
	}
	if utf8.Valid(got) {
		t.Text = string(got)
		if json.Valid(got) {
			t.MimeType = "application/json"
		} else if bytes.HasPrefix(bytes.TrimSpace(got), []byte("<")) {
			t.MimeType = "application/xml"
		}
		return nil
	}
	t.Text, t.Encoding = base64.StdEncoding.EncodeToString(got), "base64"
	return nil
}

// posted is what went out, as far as it is on record: nil of nothing. Of a body that was
// judged its parameters are the readable form, in pieces only where the request's event
// has not all of them.
func posted(c *recorder.Call, sent []byte, cut bool) (*harPost, error) {
	if r := judged(c); r != nil && (sent == nil || json.Valid(sent)) {
		text, whole := string(sent), !cut
		if sent == nil {
			var err error
			if text, err = recorder.Parameters(c.Request); err != nil {
				return nil, err
			}
			whole = r.Pieces == 0 && r.Omitted == ""
		}
		if text != "" {
			p := &harPost{MimeType: "application/json", Text: text, Comment: "the parameters as recorded, masked: not the bytes that were sent"}
			if !whole {
				p.Comment += "; some may be cut"
			}
			return p, nil
		}
	}
	if sent == nil && !cut {
		return nil, nil
	}
	p := &harPost{MimeType: "application/octet-stream", Comment: note(sent, cut)}
	if utf8.Valid(sent) {
		p.Text = string(sent)
	} else { // the format has no encoding for what is sent
		p.Text, p.Comment = base64.StdEncoding.EncodeToString(sent), "base64; "+note(sent, cut)
	}
	return p, nil
}

// judged says how much is on record of a body whose parameters stand for it; nil where
// there is none.
func judged(c *recorder.Call) *event.Recorded {
	if c.Request == nil || c.Request.RequestBodyRecorded == nil || c.Request.RequestBodyRecorded.Form != event.FormParameters {
		return nil
	}
	return c.Request.RequestBodyRecorded
}

func note(b []byte, cut bool) string {
	if b == nil {
		return "not on record any more"
	}
	if cut {
		return "masked as on record, and not all of it"
	}
	return "masked as on record"
}

// body puts the pieces of one part together. cut says that some are missing, or more
// than MaxHARBody.
func (h *harWriter) body(c *recorder.Call, part string) (b []byte, cut bool, err error) {
	if h.bodies == nil {
		return nil, false, nil
	}
	pieces := slices.DeleteFunc(slices.Clone(c.Bodies), func(p *event.Body) bool { return p.Part != part })
	slices.SortStableFunc(pieces, func(a, b *event.Body) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, p := range pieces {
		if p.Offset < int64(len(b)) { // once only, where a piece is there twice
			continue
		}
		if p.Offset > int64(len(b)) || len(b)+p.Size > MaxHARBody {
			return b, true, nil
		}
		text, err := h.bodies(p.SHA256)
		if err != nil {
			return nil, false, err
		}
		if text == nil {
			return b, true, nil
		}
		b = append(b, text...)
	}
	return b, false, nil
}
