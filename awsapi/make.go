package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/refusal"
)

// maxResources is how many resources a call may name, of all of its actions. Each is
// judged by every rule and has a place in the session policy. AWS's own limits are 1,000
// and less.
const maxResources = 4096

// assembly is what a Call is made of, in one piece of memory: it is the most of
// what identification allocates.
type assembly struct {
	call     Call
	params   params
	doc      document
	head     Head
	resolver resolver
	nodes    [16]node
}

// Call makes the Call out of the head and the whole body; body is nil for a
// request that streams.
func (h *Head) Call(body []byte) (*Call, error) {
	if _, ok := h.FormUpload(); ok {
		return nil, refusal.New(refusal.Unidentified, "the fields of this form upload were not read")
	}
	made := new(assembly)
	made.head = *h // the head stays as it was: Call may be asked twice
	work := &made.head
	matches, pairs, plain := h.matches, h.form, body
	var err error
	if !h.Streams() {
		if len(matches) > 0 {
			if err := h.mayCompress(matches[0], body); err != nil {
				return nil, err
			}
		}
		if plain, err = h.decoded(body); err != nil {
			return nil, err
		}
	}
	if h.form == nil && len(matches) == 0 {
		if pairs, err = parsePairs(string(plain), "form"); err != nil {
			return nil, err
		}
		if err := work.identifyForm(pairs); err != nil {
			return nil, err
		}
		if err := work.settle(); err != nil {
			return nil, err
		}
		matches = work.matches
	}
	m := matches[0]
	streams := m.op.StreamingInput || m.op.EventStreamInput
	if err := work.checkBody(m, body, streams); err != nil {
		return nil, err
	}
	detail, err := m.svc.Detail(m.op.Name)
	if err != nil {
		return nil, refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	facts := h.id.factsOf(m, detail)
	doc := &made.doc
	made.params.doc = doc
	if err := work.document(doc, made.nodes[:1], m, facts, pairs, plain); err != nil {
		return nil, err
	}
	if err := h.upload.describe(doc); err != nil {
		return nil, err
	}
	header, err := keepHeaders(h.req.Header, m.op)
	if err != nil {
		return nil, err
	}
	c := &made.call
	*c = Call{
		Partition: work.host.Partition, Service: m.svc.ID, EventSource: facts.eventSource, Region: work.region(m),
		SigningName: m.signingName(), SigningRegion: work.signingRegion(m),
		Operation: m.op.Name, Protocol: work.protocol, Permissionless: m.op.Permissionless || len(detail.IAM) == 0 && m.op.AuthType == "none",
		Classes: facts.classes, params: &made.params,
		StreamingOutput: m.op.StreamingOutput, EventStreamOutput: m.op.EventStreamOutput, detail: detail, ownerHeaders: facts.ownerHeaders(m), uncarried: work.uncarried,
	}
	if h.upload != nil {
		c.ownerHeaders = nil // the documentation has no such field
	}
	for _, t := range matches[1:] {
		name := t.svc.ID + ":" + t.op.Name
		if name != c.Service+":"+c.Operation && !slices.Contains(c.Twins, name) {
			c.Twins = append(c.Twins, name)
			d, err := t.svc.Detail(t.op.Name)
			if err != nil {
				return nil, refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
			}
			c.twinDetails = append(c.twinDetails, d)
			for _, k := range classesOf(t.svc.ID, t.op.Name) {
				if !slices.Contains(c.Classes, k) {
					c.Classes = append(slices.Clip(c.Classes), k)
					slices.Sort(c.Classes)
				}
			}
		}
	}
	if !c.Permissionless {
		r := &made.resolver
		*r = resolver{head: work, match: m, call: c, doc: doc, facts: facts}
		c.Actions = r.actions(detail)
		if r.stray != "" {
			return nil, refusal.New(refusal.Malformed, "%q cannot be the name of a resource: it has a wildcard", clip(r.stray))
		}
		if len(detail.IAM) == 0 && len(m.svc.IAMPrefixes) > 0 {
			// AWS documents no action for this operation yet. By its naming rule it is
			// the operation's name; if that is wrong, the credential made for it can do
			// nothing. Its level is unknown, so no rule's access matches.
			c.Actions = []Action{{Name: m.svc.IAMPrefixes[0] + ":" + c.Operation, Resources: []Resource{{ARN: "*", Partial: true}}}}
		}
		n := 0
		for _, a := range c.Actions {
			n += len(a.Resources)
		}
		if n > maxResources {
			return nil, refusal.New(refusal.Malformed, "the call names %d resources, more than the %d that are judged at once; split it into smaller calls", n, maxResources)
		}
		if len(c.Actions) == 0 {
			return nil, refusal.New(refusal.Unidentified, "no IAM action is known for %s:%s, so no credential can be made for it", c.Service, c.Operation)
		}
	}
	if c.uncarried == nil { // else there is no Canonical: nothing that could be signed
		c.canonical = work.canonical(c, m, header, body, streams)
	}
	return c, nil
}

// canonical is the request as it goes on.
func (h *Head) canonical(c *Call, m match, header []field, body []byte, streams bool) Canonical {
	out := Canonical{
		method: h.req.Method, host: h.host.Name, rawPath: h.rawPath, rawQuery: h.rawQuery, header: header,
		payload: h.payload, contentSHA256: h.sha256, body: body, streams: streams, contentLength: h.req.ContentLength, chunks: h.chunks,
		signingName: c.SigningName, signingRegion: c.SigningRegion, doubleEncode: h.host.Kind == Endpoint && !slices.Contains([]string{"s3", "s3control"}, m.svc.ID),
	}
	if h.scope.set {
		out.signingRegion = h.oneRegion(m)
	}
	if h.upload != nil {
		out.ofUpload(h.upload)
	}
	if h.asymmetric(m) {
		// What the client's own region set says is a claim; the name serves all regions.
		out.signingRegion, out.regionSet = "", "*"
	}
	if streams {
		out.body = nil
	} else {
		out.contentLength = int64(len(body))
	}
	return out
}

// checkBody refuses bodies that were not read as what they are.
func (h *Head) checkBody(m match, body []byte, streams bool) error {
	if streams {
		return nil
	}
	if awschunked.FormOf(h.sha256) != awschunked.None { // the parameters are inside
		return refusal.New(refusal.Unidentified, "%s:%s does not take an aws-chunked body", m.svc.ID, m.op.Name)
	}
	if err := h.mayCompress(m, body); err != nil {
		return err
	}
	// A few rest-json models do bind a body to GET.
	if len(body) > 0 && h.protocol != RestJSON && (h.req.Method == http.MethodGet || h.req.Method == http.MethodHead) {
		return refusal.New(refusal.Malformed, "a %s request must not have a body", h.req.Method)
	}
	return nil
}

// region is the region that the call is for: the one in the name, else the one
// that is signed for.
func (h *Head) region(m match) string {
	if m.cand.region != "" {
		return m.cand.region
	}
	if h.asymmetric(m) {
		return "" // all of them, or whichever AWS chooses
	}
	if h.scope.set {
		return h.oneRegion(m)
	}
	return h.signingRegion(m)
}

// eventSource is CloudTrail's name of the service.
func eventSource(m match) string {
	switch m.svc.ID {
	case "cloudwatch":
		return "monitoring.amazonaws.com"
	case "elbv2", "elb":
		return "elasticloadbalancing.amazonaws.com"
	}
	if len(m.svc.IAMPrefixes) > 0 && !strings.ContainsAny(m.svc.IAMPrefixes[0], ". ") {
		return m.svc.IAMPrefixes[0] + ".amazonaws.com"
	}
	return m.svc.EndpointPrefix + ".amazonaws.com"
}
