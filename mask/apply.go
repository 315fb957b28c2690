package mask

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// Result is a masked answer.
type Result struct {
	Header http.Header // a copy, repaired to fit the body
	Body   []byte      // the body, where Stream is nil
	// Stream is set instead of Body where nothing in the body is masked: it is
	// the reader that Apply got, unread.
	Stream   io.Reader
	Findings []Finding
}

// Apply masks an answer: status, headers and body as AWS sent them. The error is
// a *refusal.Error of reason Masking, and then nothing of the answer may be
// passed on. header is not changed.
func (p *Plan) Apply(status int, header http.Header, body io.Reader) (Result, error) {
	if p.root == nil {
		return Result{}, refuse(errors.New("no plan"))
	}
	f := &findings{}
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	p.maskHeaders(h, f)
	failed := status >= 300
	if failed {
		scrubHeaders(h, f)
	}
	if !p.body && !failed {
		return Result{Header: h, Stream: body, Findings: f.list()}, nil
	}
	wire, err := readAll(body, p.maxBody)
	if err != nil {
		return Result{}, refuse(err)
	}
	if len(wire) == 0 {
		return Result{Header: h, Body: nil, Findings: f.list()}, nil
	}
	plain, decoded, err := decodeBody(h, wire, p.maxBody)
	if err != nil {
		return Result{}, refuse(err)
	}
	out, err := p.maskBody(plain, failed, f)
	if err != nil {
		return Result{}, refuse(err)
	}
	if failed {
		var n int
		out, n = ScrubError(out)
		for range n {
			f.add("error text", SourceText)
		}
	}
	edited := !bytes.Equal(out, plain)
	repair(h, out, edited, decoded)
	return Result{Header: h, Body: out, Findings: f.list()}, nil
}

func (p *Plan) maskBody(plain []byte, failed bool, f *findings) ([]byte, error) {
	if !p.body {
		return plain, nil
	}
	if p.raw && !failed {
		f.add("*", SourceAWS)
		if isJSON(p.protocol) && json.Valid(plain) {
			return []byte(`"` + Token + `"`), nil
		}
		return []byte(Token), nil
	}
	nodes := []*node{p.root}
	if isXML(p.protocol) {
		nodes[0] = p.xmlRoot
	}
	if failed && nodes[0].marked {
		// The mark is on the operation's output, and an error is not that.
		nodes = nil
	}
	rules := make([]at, 0, len(p.rules))
	for _, r := range p.rules {
		rules = append(rules, at{rule: r})
	}
	var edits []edit
	var err error
	if isJSON(p.protocol) {
		edits, err = maskJSON(plain, nodes, rules, f, 0)
	} else {
		edits, err = maskXML(plain, nodes, rules, f, p.protocol == "query")
	}
	if err != nil {
		return nil, err
	}
	return apply(plain, edits), nil
}

func (p *Plan) maskHeaders(h http.Header, f *findings) {
	for k, vs := range h {
		name := strings.ToLower(k)
		label, hit := p.headers[name]
		for prefix, l := range p.prefixes {
			if !hit && strings.HasPrefix(name, prefix) {
				label, hit = l, true
			}
		}
		if !hit {
			continue
		}
		for i, v := range vs {
			if v != "" {
				vs[i] = scalarFor(v, "")
				f.add(label, SourceAWS)
			}
		}
	}
}

func refuse(err error) *refusal.Error {
	return refusal.Wrap(refusal.Masking, err, "AWS's answer could not be masked (%s), so it was withheld; the call itself was made", err)
}

// readAll reads up to limit bytes. One more is an error and not a shorter answer:
// a cut document could parse as another one.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, errors.New("it broke off")
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it is larger than the %d bytes that mask.max_body allows", limit)
	}
	return b, nil
}

// decodeBody takes off the content encoding.
func decodeBody(h http.Header, wire []byte, limit int64) (plain []byte, decoded bool, err error) {
	var codings []string
	for _, v := range h.Values("Content-Encoding") {
		for c := range strings.SplitSeq(v, ",") {
			if c = strings.ToLower(strings.TrimSpace(c)); c != "" && c != "identity" {
				codings = append(codings, c)
			}
		}
	}
	switch {
	case len(codings) == 0:
		return wire, false, nil
	case !slices.Equal(codings, []string{"gzip"}):
		return nil, false, errors.New("its content encoding is not known")
	}
	z, err := gzip.NewReader(bytes.NewReader(wire))
	if err != nil {
		return nil, false, errors.New("its gzip encoding is broken")
	}
	b, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, false, errors.New("its gzip encoding is broken")
	}
	if int64(len(b)) > limit {
		return nil, false, fmt.Errorf("decoded it is larger than the %d bytes that mask.max_body allows", limit)
	}
	return b, true, nil
}

// digestETag is an entity tag made of the body's digest, as S3's. Others are
// version numbers: CloudFront wants them back when the thing is changed.
var digestETag = regexp.MustCompile(`(?i)[0-9a-f]{32}`)

// repair makes the headers fit the body as it is sent now. Digests of the real
// body would fail in the SDK, and would let an agent test guesses of a short
// secret.
func repair(h http.Header, body []byte, edited, decoded bool) {
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if decoded {
		h.Del("Content-Encoding")
	}
	if !edited && !decoded {
		return
	}
	if h.Get("X-Amz-Crc32") != "" {
		// DynamoDB: decimal, of the bytes on the wire.
		h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	for k := range h {
		if l := strings.ToLower(k); strings.HasPrefix(l, "x-amz-checksum-") && l != "x-amz-checksum-algorithm" {
			delete(h, k)
		}
	}
	for _, k := range []string{"Content-Md5", "Digest", "Repr-Digest", "Content-Digest"} {
		h.Del(k)
	}
	if edited && digestETag.MatchString(h.Get("Etag")) {
		h.Del("Etag")
	}
}
