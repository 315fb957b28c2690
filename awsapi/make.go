package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// Call makes the Call out of the head and the whole body; body is nil for a
// request that streams.
func (h *Head) Call(body []byte) (*Call, error) {
	matches, protocol := h.matches, h.protocol
	work := *h // the head stays as it was: Call may be asked twice
	var pairs []pair
	switch {
	case h.form != nil:
		pairs = h.form
	case len(matches) == 0:
		var err error
		if pairs, err = parsePairs(string(body), "form"); err != nil {
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
	params, err := work.params(m, pairs, body)
	if err != nil {
		return nil, err
	}
	detail, err := m.svc.Detail(m.op.Name)
	if err != nil {
		return nil, refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	header, err := keepHeaders(h.req.Header, m.op)
	if err != nil {
		return nil, err
	}
	c := &Call{
		Partition: work.host.Partition, Service: m.svc.ID, EventSource: eventSource(m), Region: work.region(m),
		SigningName: m.signingName(), SigningRegion: work.signingRegion(m),
		Operation: m.op.Name, Protocol: protocol, Permissionless: m.op.Permissionless || len(detail.IAM) == 0 && m.op.AuthType == "none",
		Classes: classesOf(m.svc.ID, m.op.Name), params: params,
		StreamingOutput: m.op.StreamingOutput, EventStreamOutput: m.op.EventStreamOutput, detail: detail, ownerHeaders: ownerHeaders(m), uncarried: work.uncarried,
	}
	for _, t := range matches[1:] {
		name := t.svc.ID + ":" + t.op.Name
		if name != c.Service+":"+c.Operation && !slices.Contains(c.Twins, name) {
			c.Twins = append(c.Twins, name)
			for _, k := range classesOf(t.svc.ID, t.op.Name) {
				if !slices.Contains(c.Classes, k) {
					c.Classes = append(c.Classes, k)
				}
			}
		}
	}
	slices.Sort(c.Classes)
	if !c.Permissionless {
		r := &resolver{head: &work, match: m, call: c, labels: work.labels(m)}
		c.Actions = r.actions(detail)
		if r.twoSpellings != "" {
			return nil, refusal.New(refusal.Malformed, "the parameters %s are two spellings of one member", r.twoSpellings)
		}
		if r.stray != "" {
			return nil, refusal.New(refusal.Malformed, "%q cannot be the name of a resource: it has a wildcard", clip(r.stray))
		}
		if len(detail.IAM) == 0 && len(m.svc.IAMPrefixes) > 0 {
			// AWS documents no action for this operation yet. By its naming rule it is
			// the operation's name; if that is wrong, the credential made for it can do
			// nothing. Its level is unknown, so no rule's access matches.
			c.Actions = []Action{{Name: m.svc.IAMPrefixes[0] + ":" + c.Operation, Resources: []Resource{{ARN: "*", Partial: true}}}}
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
func (h *Head) canonical(c *Call, m match, header http.Header, body []byte, streams bool) Canonical {
	out := Canonical{
		method: h.req.Method, host: h.host.Name, rawPath: h.rawPath, rawQuery: h.rawQuery, header: header,
		payload: h.payload, contentSHA256: h.sha256, body: body, streams: streams, contentLength: h.req.ContentLength,
		signingName: c.SigningName, signingRegion: c.SigningRegion, doubleEncode: h.host.Kind == Endpoint && !slices.Contains([]string{"s3", "s3control"}, m.svc.ID),
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
	if signedChunks[h.sha256] {
		return h.uncarried // the parameters are inside
	}
	if ce := h.req.Header.Get("Content-Encoding"); ce != "" && len(body) > 0 {
		return refusal.New(refusal.Unidentified, "the body is encoded (%s) and cannot be judged; turn request compression off (AWS_DISABLE_REQUEST_COMPRESSION=true)", clip(ce))
	}
	if h.payload == PayloadStreamingUnsignedTrailer {
		return refusal.New(refusal.Unidentified, "%s:%s does not take an aws-chunked body", m.svc.ID, m.op.Name)
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
	if h.scope.set {
		return "" // a region set is no region
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

// labels are the raw path labels of the match, decoded, by label name.
func (h *Head) labels(m match) map[string]string {
	out := map[string]string{}
	i := 0
	for k, p := range m.op.Parsed {
		if !p.Label {
			i++
			continue
		}
		n := 1
		if p.Greedy {
			n = len(h.segs) - i - (len(m.op.Parsed) - k - 1)
		}
		if n < 1 || i+n > len(h.segs) {
			break
		}
		v, _ := unescape(strings.Join(h.segs[i:i+n], "/"), false)
		out[p.Text] = v
		i += n
	}
	return out
}
