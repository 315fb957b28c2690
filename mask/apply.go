package mask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// Result is a masked answer.
type Result struct {
	Header http.Header // a copy, repaired to fit the body
	Body   []byte      // the body, where Stream is nil
	// Stream is set instead of Body where the body need not be read whole. A read
	// that fails with a *refusal.Error of reason Masking found what cannot be
	// masked: the answer must then be cut off.
	Stream io.Reader
	found  *findings
}

// Findings say what was masked. Of a Stream they are complete once it is read.
func (r Result) Findings() []Finding {
	if r.found == nil {
		return nil
	}
	return r.found.sorted()
}

// Apply masks an answer: status, headers and body as AWS sent them. The error is
// a *refusal.Error of reason Masking, and then nothing of the answer may be
// passed on. header is not changed.
func (p *Plan) Apply(ctx context.Context, status int, header http.Header, body io.Reader) (Result, error) {
	if p.root == nil || p.masker == nil {
		return Result{}, refuse(errors.New("there is no plan for it"))
	}
	w := &walk{found: &findings{}, swap: p.masker.swap, style: p.style, scan: p.masker.scan}
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	failed := status >= 300
	p.maskHeaders(h, w)
	if failed {
		scrubHeaders(h, w.found)
	}
	if !failed && !p.NeedsBody() {
		stream, err := p.open(w, status, h, body)
		if err != nil {
			return Result{}, refuse(err)
		}
		return Result{Header: h, Stream: stream, found: w.found}, nil
	}
	wire, err := readAll(body, p.masker.maxBody, h.Get("Content-Length"))
	if err != nil {
		return Result{}, refuse(err)
	}
	if len(wire) == 0 {
		return Result{Header: h, found: w.found}, nil
	}
	plain, decoded, err := decodeBody(h, wire, p.masker.maxBody)
	if err != nil {
		return Result{}, refuse(err)
	}
	out, err := p.maskBody(ctx, w, plain, failed)
	if err != nil {
		return Result{}, refuse(err)
	}
	if failed {
		var n int
		out, n = p.scrubError(out)
		for range n {
			w.found.add("error text", SourceText, "")
		}
	}
	repair(h, out, !bytes.Equal(out, plain), decoded)
	return Result{Header: h, Body: out, found: w.found}, nil
}

// scrubError is ScrubError for an answer in the plan's protocol.
func (p *Plan) scrubError(body []byte) ([]byte, int) {
	if isCBOR(p.protocol) {
		if out, n, ok := scrubCBOR(body); ok {
			return out, n
		}
	}
	return ScrubError(body)
}

// maskBody masks a body that was read whole and decoded. Where there is an Analyzer
// the body is walked twice: once for the texts that it is asked about.
func (p *Plan) maskBody(ctx context.Context, w *walk, plain []byte, failed bool) ([]byte, error) {
	if an := p.masker.analyze; an != nil {
		first := &walk{found: &findings{}, swap: w.swap, style: w.style, analysis: newAnalysis()}
		if _, err := p.edited(first, plain, failed); err != nil {
			return nil, err
		}
		if err := first.analysis.ask(ctx, an); err != nil {
			return nil, err
		}
		w.analysis = first.analysis
	}
	return p.edited(w, plain, failed)
}

func (p *Plan) edited(w *walk, plain []byte, failed bool) ([]byte, error) {
	if p.raw && !failed {
		w.found.add("*", SourceAWS, "")
		word := w.swap.word(plain, p.style)
		if isJSON(p.protocol) && json.Valid(plain) {
			return []byte(`"` + word + `"`), nil
		}
		return []byte(word), nil
	}
	if !p.Secret() && !w.looks() {
		return plain, nil
	}
	var err error
	for _, read := range p.readers(plain, failed) {
		if read == nil {
			break
		}
		var edits []edit
		var e error
		if edits, e = read(p, w, plain, failed); e == nil {
			return apply(plain, edits), nil
		}
		if err == nil {
			err = e
		}
	}
	if p.Secret() || !failed && !p.free() {
		return nil, err
	}
	out, _ := w.detect(label{open: p.root.open}, plain)
	return out, nil
}

// free reports that an answer of the protocol need not be a document: a REST
// operation's payload may be any text, and the catalog does not say whose is.
func (p *Plan) free() bool { return strings.HasPrefix(p.protocol, "rest-") }

// reader collects the edits of a document in one format.
type reader func(p *Plan, w *walk, src []byte, failed bool) ([]edit, error)

// readers are the formats that the body may have, by the operation's protocol and
// never by the answer's Content-Type. An error may come from a stage before the
// service, in another one. In REST-XML a payload may be JSON text (S3's bucket
// policies).
func (p *Plan) readers(plain []byte, failed bool) [3]reader {
	text := bytes.TrimLeft(plain, " \t\r\n")
	braced := len(text) > 0 && (text[0] == '{' || text[0] == '[')
	var first reader
	switch {
	case p.object:
		return [3]reader{(*Plan).readJSON, (*Plan).readJSONLines}
	case isXML(p.protocol) && !(p.protocol == "rest-xml" && braced):
		first = (*Plan).readXML
	case isCBOR(p.protocol), isJSON(p.protocol) && len(plain) > 0 && plain[0]>>5 == cborMap:
		// A service that speaks both may answer in CBOR what was asked in JSON. A map
		// in CBOR begins with a byte that no text in UTF-8 begins with.
		first = (*Plan).readCBOR
	default:
		first = (*Plan).readJSON
	}
	if failed {
		return [3]reader{first, (*Plan).readJSON, (*Plan).readXML}
	}
	return [3]reader{first}
}

func (p *Plan) readJSON(w *walk, src []byte, failed bool) ([]edit, error) {
	return w.json(src, roots(p.root, failed), p.rules, 0)
}

func (p *Plan) readXML(w *walk, src []byte, failed bool) ([]edit, error) {
	return w.xml(src, roots(p.xmlRoot, failed), p.rules, p.protocol == "query")
}

func (p *Plan) readCBOR(w *walk, src []byte, failed bool) ([]edit, error) {
	return w.cbor(src, roots(p.root, failed), p.rules)
}

// readJSONLines reads one JSON document a line, as logs and exports have it.
func (p *Plan) readJSONLines(w *walk, src []byte, _ bool) ([]edit, error) {
	var out []edit
	at := 0
	for line := range bytes.Lines(src) {
		if len(bytes.TrimSpace(line)) > 0 {
			edits, err := w.json(line, roots(p.root, false), p.rules, 0)
			if err != nil {
				return nil, err
			}
			for _, e := range edits {
				out = append(out, edit{at + e.start, at + e.end, e.text})
			}
		}
		at += len(line)
	}
	return out, nil
}

// roots is where the catalog's paths begin. A mark on the whole output is not one
// on an error.
func roots(n *node, failed bool) []*node {
	if failed && n.marked {
		return nil
	}
	return []*node{n}
}

func (p *Plan) maskHeaders(h http.Header, w *walk) {
	if len(p.headers) == 0 && len(p.prefixes) == 0 && !w.looks() {
		return
	}
	for k, vs := range h {
		name := strings.ToLower(k)
		path, hit := p.headers[name]
		for prefix, l := range p.prefixes {
			if !hit && strings.HasPrefix(name, prefix) {
				path, hit = l, true
			}
		}
		for i, v := range vs {
			switch out, changed := w.detect(label{name: k, context: k, open: p.exposed[name]}, []byte(v)); {
			case v == "":
			case hit:
				vs[i] = w.swap.scalar([]byte(v), "", p.style)
				w.found.add(path, SourceAWS, "")
			case changed:
				vs[i] = string(out)
			}
		}
	}
}

// refuseRest is the refusal of an answer of which a part may have gone out.
func refuseRest(err error) error {
	var already *refusal.Error
	if errors.As(err, &already) {
		return already
	}
	return refusal.Wrap(refusal.Masking, err, "the rest of AWS's answer could not be masked (%s), so it was cut off; the call itself was made", err)
}

// refuse makes err the reason why an answer is withheld. A refusal by what gives
// the body (no memory is left) stays what it is.
func refuse(err error) *refusal.Error {
	var already *refusal.Error
	if errors.As(err, &already) {
		return already
	}
	return refusal.Wrap(refusal.Masking, err, "AWS's answer could not be masked (%s), so it was withheld; the call itself was made", err)
}

// readAll reads up to limit bytes. One more is an error and not a shorter answer:
// a cut document could parse as another one. declared is the Content-Length, a hint.
func readAll(r io.Reader, limit int64, declared string) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	var buf bytes.Buffer
	if n, err := strconv.ParseInt(declared, 10, 64); err == nil && n > 0 {
		// No more at once than what is there soon: the length may be a lie.
		buf.Grow(int(min(n, limit, maxHint)) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	var busy *refusal.Error
	if errors.As(err, &busy) {
		return nil, busy
	}
	if err != nil {
		return nil, errors.New("it broke off")
	}
	if int64(buf.Len()) > limit {
		return nil, fmt.Errorf("it is larger than the %d bytes that mask.max_body allows", limit)
	}
	return buf.Bytes(), nil
}

// maxHint is what an answer's declared length makes room for before it comes.
const maxHint = 1 << 20

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
	dropDigests(h)
	if !edited {
		return
	}
	h.Del("X-Amz-Checksum-Type")
	if digestETag.MatchString(h.Get("Etag")) {
		h.Del("Etag")
	}
}
