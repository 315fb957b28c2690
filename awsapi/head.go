package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/refusal"
)

// Head is a request whose line and headers have been read. In the query
// protocols the operation is known only with the body.
type Head struct {
	id       *Identifier
	req      Request
	host     Host
	rawPath  string
	rawQuery string
	query    []pair
	scope    scope
	payload  Payload
	sha256   string
	chunks   awschunked.Declared
	protocol Protocol
	matches  []match // the operation and its twins; empty: it is in the form
	segs     []string
	form     []pair  // of a GET query call
	upload   *upload // of a form upload; nil for everything else

	hoisted   []string       // headers that came in a presigned URL's query
	uncarried *refusal.Error // see Call.Uncarried
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch}

// Head reads everything but the body. It refuses what it cannot tell apart.
func (id *Identifier) Head(r Request) (*Head, error) {
	h := &Head{id: id, req: r}
	if !slices.Contains(methods, r.Method) {
		return nil, refusal.New(refusal.Malformed, "the method %q is not one that AWS APIs use", clip(r.Method))
	}
	var err error
	if h.host, err = id.Classify(r.Host); err != nil {
		return nil, err
	}
	if h.rawPath, h.rawQuery, err = splitTarget(r.Target); err != nil {
		return nil, err
	}
	if err := checkHeaders(r.Header); err != nil {
		return nil, err
	}
	if h.query, err = parseQueryMulti(h.rawQuery); err != nil {
		return nil, err
	}
	if h.scope, err = readAuth(r.Header); err != nil {
		return nil, err
	}
	if err := h.withoutAuth(); err != nil {
		return nil, err
	}
	payload, sum, unsigned, badPayload := readPayload(h.req.Header)
	h.payload, h.sha256 = payload, sum
	if h.chunks, err = awschunked.Declare(h.req.Header, r.ContentLength); err != nil {
		bad := refusal.New(refusal.Malformed, "%s", err.Error())
		if !h.scope.set {
			return nil, bad
		}
		// SigV4A is signed by a library of its own, which adds what is missing here. The
		// call is known all the same, and not carried.
		h.cannotCarry(bad)
	}
	h.cannotCarry(unsigned)
	if err := h.identify(); err != nil {
		return nil, err
	}
	if badPayload != nil {
		// One operation binds the header to a member of its own, which clients may fill
		// with any text; it is known all the same, and not carried.
		if len(h.matches) == 0 || !bindsContentSHA256(h.matches[0].op) {
			return nil, badPayload
		}
		h.cannotCarry(refusal.Of(badPayload))
	}
	if len(h.matches) > 0 {
		if err := h.settle(); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func bindsContentSHA256(op *catalog.Operation) bool {
	b, _ := op.HeaderMembers.Get("x-amz-content-sha256")
	return b.Member != ""
}

// cannotCarry notes why the request cannot be sent although it is understood;
// the first reason stands.
func (h *Head) cannotCarry(e *refusal.Error) {
	if h.uncarried == nil {
		h.uncarried = e
	}
}

// splitTarget takes the origin-form target apart without changing a byte.
func splitTarget(t string) (path, query string, err error) {
	if !strings.HasPrefix(t, "/") || len(t) > 64<<10 {
		return "", "", refusal.New(refusal.Malformed, "the request target must be an absolute path of at most 64 KiB")
	}
	for i := range len(t) {
		if c := t[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			return "", "", refusal.New(refusal.Malformed, "the request target holds a byte that must be percent-encoded (0x%02x)", c)
		}
	}
	path, query, _ = strings.Cut(t, "?")
	if _, ok := unescape(path, false); !ok {
		return "", "", refusal.New(refusal.Malformed, "the path is not percent-encoded UTF-8")
	}
	return path, query, nil
}

// identify finds protocol and operation. Each protocol has one mark, and a
// request that bears the marks of two is refused.
func (h *Head) identify() error {
	targets := h.req.Header.Values("X-Amz-Target")
	smithy := h.req.Header.Values("Smithy-Protocol")
	ct := mediaType(h.req.Header.Get("Content-Type"))
	if h.host.Kind == S3Endpoint || h.host.Kind == S3Bucket {
		if len(targets)+len(smithy) > 0 {
			return refusal.New(refusal.Malformed, "an S3 request carries the mark of another protocol (X-Amz-Target or Smithy-Protocol)")
		}
		return h.identifyS3(ct)
	}
	rpc := len(smithy) > 0
	switch {
	case len(targets) > 1 || len(smithy) > 1 || (len(targets) > 0 && rpc):
		return refusal.New(refusal.Malformed, "the request names its operation more than once (X-Amz-Target, Smithy-Protocol); send one")
	case rpc:
		return h.identifyCBOR(smithy[0], ct)
	case len(targets) == 1:
		return h.identifyJSON(targets[0], ct)
	}
	if h.rawPath == "/" && h.speaks(Query, EC2) {
		_, inQuery := find(h.query, "Action")
		form := ct == "application/x-www-form-urlencoded"
		if h.req.Method == http.MethodPost && form {
			if h.rawQuery != "" {
				return refusal.New(refusal.Malformed, "a query-protocol POST must have all its parameters in the body, not in the URL")
			}
			if err := checkCharset(h.req.Header.Get("Content-Type")); err != nil {
				return err
			}
			h.protocol = h.queryProtocol()
			return nil
		}
		if h.req.Method == http.MethodGet && inQuery {
			if h.req.ContentLength != 0 {
				return refusal.New(refusal.Malformed, "a GET with Action in the query must not have a body")
			}
			pairs, err := parsePairs(h.rawQuery, "query")
			if err != nil {
				return err
			}
			h.form, h.protocol = pairs, h.queryProtocol()
			return h.identifyForm(pairs)
		}
	}
	if h.speaks(Query, EC2) && slices.ContainsFunc(h.query, func(p pair) bool { return strings.EqualFold(p.key, "Action") }) {
		// Such a host may take any path's query for a call of its query protocol.
		return refusal.New(refusal.Malformed, "Action is in the URL of a %s request; send it in a form body (application/x-www-form-urlencoded)", h.req.Method)
	}
	return h.identifyREST()
}

func checkCharset(ct string) error {
	_, params, _ := strings.Cut(ct, ";")
	p := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(params), " ", ""))
	if p != "" && p != "charset=utf-8" {
		return refusal.New(refusal.Malformed, "the form's Content-Type must be application/x-www-form-urlencoded in UTF-8")
	}
	return nil
}

// speaks reports that a service behind the host speaks one of the protocols.
func (h *Head) speaks(ps ...Protocol) bool {
	for _, c := range h.host.candidates {
		for _, p := range ps {
			if slices.Contains(h.id.cat.Services[c.service].Protocols, string(p)) {
				return true
			}
		}
	}
	return false
}

func (h *Head) queryProtocol() Protocol {
	if h.speaks(EC2) {
		return EC2
	}
	return Query
}

// named appends the operation of that name of every candidate that qualifies.
func (h *Head) named(operation string, ok func(*catalog.ServiceInfo) bool) error {
	for _, c := range h.host.candidates {
		info := &h.id.cat.Services[c.service]
		if !ok(info) {
			continue
		}
		svc, err := h.id.cat.Service(c.service)
		if err != nil {
			return refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
		}
		op := svc.Operations[operation]
		if op == nil || (c.prefix != "" && op.HostPrefix != c.prefix) {
			continue
		}
		h.matches = append(h.matches, match{svc, op, c})
	}
	return nil
}

func (h *Head) identifyJSON(target, ct string) error {
	if h.req.Method != http.MethodPost || h.rawPath != "/" || h.rawQuery != "" {
		return refusal.New(refusal.Malformed, "a request with X-Amz-Target must be POST / without a query")
	}
	if ct != "application/x-amz-json-1.0" && ct != "application/x-amz-json-1.1" {
		return refusal.New(refusal.Malformed, "a request with X-Amz-Target must have the Content-Type application/x-amz-json-1.0 or -1.1")
	}
	h.protocol = JSON
	i := strings.LastIndexByte(target, '.')
	if i < 0 {
		return refusal.New(refusal.Malformed, "X-Amz-Target is not PREFIX.OPERATION: %q", clip(target))
	}
	if err := h.named(target[i+1:], func(s *catalog.ServiceInfo) bool {
		return s.TargetPrefix != "" && s.TargetPrefix == target[:i] && slices.Contains(s.Protocols, "json")
	}); err != nil {
		return err
	}
	return h.known("the operation " + clip(target))
}

func (h *Head) identifyCBOR(smithy, ct string) error {
	if smithy != "rpc-v2-cbor" {
		return refusal.New(refusal.Malformed, "the protocol %q in Smithy-Protocol is not known; it must be rpc-v2-cbor", clip(smithy))
	}
	f := strings.Split(h.rawPath, "/")
	if h.req.Method != http.MethodPost || len(f) != 5 || f[1] != "service" || f[3] != "operation" || h.rawQuery != "" {
		return refusal.New(refusal.Malformed, "an rpc-v2-cbor request must be POST /service/SERVICE/operation/OPERATION without a query")
	}
	if ct != "application/cbor" && ct != "" {
		return refusal.New(refusal.Malformed, "an rpc-v2-cbor request must have the Content-Type application/cbor")
	}
	h.protocol = CBOR
	if err := h.named(f[4], func(s *catalog.ServiceInfo) bool {
		return s.RPCName != "" && (s.RPCName == f[2] || s.TargetPrefix == f[2]) && slices.Contains(s.Protocols, string(CBOR))
	}); err != nil {
		return err
	}
	return h.known("the operation " + clip(f[2]+"."+f[4]))
}

// identifyForm finds the operation by Action and Version.
func (h *Head) identifyForm(pairs []pair) error {
	for _, p := range pairs {
		if formAuth[p.key] {
			// It is inside of what was judged, so it could not be left behind.
			h.cannotCarry(refusal.New(refusal.Unidentified, "the form carries a signature of version 2 (%s), which is not carried by this gateway; configure the client for SigV4", p.key))
		}
		if (strings.EqualFold(p.key, "Action") && p.key != "Action") || (strings.EqualFold(p.key, "Version") && p.key != "Version") {
			return refusal.New(refusal.Malformed, "the parameter %q differs from Action or Version only in case", clip(p.key))
		}
	}
	action, _ := find(pairs, "Action")
	version, hasVersion := find(pairs, "Version")
	if action == "" {
		return refusal.New(refusal.Malformed, "the form has no Action")
	}
	if err := h.named(action, func(s *catalog.ServiceInfo) bool {
		return (slices.Contains(s.Protocols, string(Query)) || slices.Contains(s.Protocols, string(EC2))) && (!hasVersion || versionFits(s, version))
	}); err != nil {
		return err
	}
	if !hasVersion && len(h.matches) > 1 {
		h.matches = nil
		return refusal.New(refusal.Malformed, "the request must say Version: %s has more than one API with the action %s", h.host.Name, clip(action))
	}
	return h.known("the action " + clip(action) + " (Version " + clip(version) + ")")
}

// versionFits: EC2 has had many versions of one API, told apart by the client's
// age only; elsewhere the version tells two APIs apart (elb, elbv2).
func versionFits(s *catalog.ServiceInfo, v string) bool {
	return slices.Contains(s.APIVersions, v) || (slices.Contains(s.Protocols, string(EC2)) && len(v) == 10 && v <= s.APIVersions[len(s.APIVersions)-1])
}

func (h *Head) known(what string) error {
	if len(h.matches) == 0 {
		return refusal.New(refusal.Unidentified, "%s is not known for %s; the gateway carries only operations of its API catalog", what, clip(h.host.Name))
	}
	return nil
}

// Streams reports that the operation's body is an object which is left unread.
func (h *Head) Streams() bool {
	return len(h.matches) > 0 && (h.matches[0].op.StreamingInput || h.matches[0].op.EventStreamInput)
}

// Shape is the wire format of a refusal of this request.
func (h *Head) Shape() refusal.Shape {
	s := h.id.ShapeOf(h.req)
	if len(h.matches) > 0 {
		fillShape(&s, &h.matches[0].svc.ServiceInfo, h.protocol)
	} else if h.protocol != "" {
		s.Protocol = string(h.protocol)
	}
	return s
}
