package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// asForm reports a call of CloudSearch's domain API that comes as a form: clients
// send GET /2013-01-01/search as POST with its parameters in the body, since a
// search may be longer than a URL.
func (h *Head) asForm() bool {
	return h.req.Method == http.MethodPost && h.rawPath == "/2013-01-01/search" &&
		mediaType(h.req.Header.Get("Content-Type")) == "application/x-www-form-urlencoded" &&
		slices.ContainsFunc(h.host.candidates, func(c candidate) bool { return h.id.cat.Services[c.service].ID == "cloudsearchdomain" })
}

func (h *Head) identifyREST() error {
	method, query := h.req.Method, h.query
	if h.asForm() {
		if h.rawQuery != "" {
			return refusal.New(refusal.Malformed, "a search in a form must have all its parameters in the body, not in the URL")
		}
		// Search's own fixed parameters; Call checks the form for them.
		method, query = http.MethodGet, []pair{{key: "format", value: "sdk"}, {key: "pretty", value: "true"}}
	}
	segs := strings.Split(h.rawPath[1:], "/")
	for i, s := range segs {
		if dec, _ := unescape(s, false); dec == "." || dec == ".." || (s == "" && i < len(segs)-1) {
			return refusal.New(refusal.Malformed, "the path has an empty or dot segment, which servers read in different ways")
		}
	}
	var decoded []match // what a server finds that decodes the path before it looks
	for _, c := range h.host.candidates {
		info := &h.id.cat.Services[c.service]
		if !slices.Contains(info.Protocols, string(RestJSON)) && !slices.Contains(info.Protocols, string(RestXML)) {
			continue
		}
		use := segs
		if c.base != "" {
			base := strings.Split(c.base[1:], "/")
			if len(segs) < len(base) || !slices.Equal(segs[:len(base)], base) {
				continue
			}
			use = segs[len(base):]
		}
		if len(use) == 1 && use[0] == "" {
			use = nil
		}
		r, err := h.id.router(c.service)
		if err != nil {
			return refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
		}
		before := len(h.matches)
		h.matches = r.find(h.matches, c, method, use, query, false)
		if len(h.matches) > before {
			h.segs = use
		}
		if strings.Contains(h.rawPath, "%") {
			plain := unescapeAll(use)
			decoded = r.find(decoded, c, method, plain, query, false)
			if slices.ContainsFunc(decoded, match.isGreedy) {
				decoded = r.find(decoded, c, method, strings.Split(strings.Join(plain, "/"), "/"), query, false)
			}
		}
	}
	h.matches = best(h.matches)
	if err := h.known(h.req.Method + " " + clip(h.rawPath)); err != nil {
		return err
	}
	for _, m := range best(decoded) {
		if !slices.ContainsFunc(h.matches, func(o match) bool { return o.op == m.op }) {
			return refusal.New(refusal.Malformed, "the path is %s as it is and %s once decoded; send the fixed parts of the path unencoded", h.matches[0].op.Name, m.op.Name)
		}
	}
	h.protocol = Protocol(h.matches[0].svc.Protocols[0])
	r, err := h.id.router(h.matches[0].cand.service)
	if err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	return h.checkQuery(r.static)
}

func unescapeAll(segs []string) []string {
	out := make([]string, len(segs))
	for i, s := range segs {
		out[i], _ = unescape(s, false)
	}
	return out
}

// checkQuery refuses query keys by which this service's operations are told apart
// (mode=import makes ImportRestApi of CreateRestApi) where they come twice or in
// another spelling: a server may take the other value, or take no notice of case.
func (h *Head) checkQuery(static map[string]string) error {
	for i, p := range h.query {
		lower := strings.ToLower(p.key)
		key, ok := static[lower]
		if !ok {
			if _, own := h.matches[0].op.QueryMembers.Get(p.key); !own && strings.HasPrefix(lower, "x-amz-") {
				return refusal.New(refusal.Malformed, "the query parameter %q is not one of %s; it could authenticate the request in place of what signs it", clip(p.key), h.matches[0].op.Name)
			}
			continue
		}
		if p.key != key {
			return refusal.New(refusal.Malformed, "the query parameter %q differs from %s only in case", clip(p.key), key)
		}
		for _, q := range h.query[:i] {
			if strings.ToLower(q.key) == lower {
				return duplicate("query", key)
			}
		}
	}
	return nil
}
