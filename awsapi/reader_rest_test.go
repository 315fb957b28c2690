package awsapi_test

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// rest finds the operation by method, path, fixed query parameters and, in S3, by
// what an operation cannot do without.
func (r *reader) rest(out *reading, w wire, place []spot, query []param, body []byte) error {
	path := w.path
	if r.lax {
		path = decodeUnreserved(path)
	}
	method := w.method
	isSearch := method == "POST" && path == "/2013-01-01/search" && slices.ContainsFunc(place, func(p spot) bool { return r.cat.Services[p.service].ID == "cloudsearchdomain" })
	if isSearch {
		var err error
		if query, err = split(string(body), true); err != nil {
			return err
		}
		method, body = "GET", nil
	}
	hits, err := r.hits(w, place, method, path, query)
	if err != nil {
		return err
	}
	return r.bound(out, w, hits, query, body)
}

// hit is an operation whose method, path and query a request has.
type hit struct {
	candidate
	place  spot
	labels map[string]string
	rank   string
	prefix bool
}

func (r *reader) hits(w wire, place []spot, method, path string, query []param) ([]hit, error) {
	var hits []hit
	for _, p := range place {
		s, err := r.cat.Service(p.service)
		if err != nil {
			return nil, err
		}
		if !p.signs(s, w.signingName) || !slices.Contains(s.Protocols, "rest-json") && !slices.Contains(s.Protocols, "rest-xml") {
			continue
		}
		rest, ok := strings.CutPrefix(path, p.base)
		if !ok {
			continue
		}
		rest = strings.TrimPrefix(rest, "/")
		var segs []string
		switch {
		case p.s3:
			if p.bucket != "" && rest == "" {
				rest = p.bucket
			} else if p.bucket != "" {
				rest = p.bucket + "/" + rest
			}
			b, k, _ := strings.Cut(rest, "/")
			if b != "" {
				segs = []string{b}
			}
			if k != "" {
				segs = append(segs, k)
			}
		case rest != "":
			segs = strings.Split(rest, "/")
		}
		for _, op := range s.Operations {
			if op.Method != method || p.prefix != "" && op.HostPrefix != p.prefix {
				continue
			}
			if p.s3 && (op.Name == "WriteGetObjectResponse" || (op.Name == "ListDirectoryBuckets") != p.express && (op.Name == "ListDirectoryBuckets" || op.Name == "ListBuckets")) {
				continue
			}
			labels, rank, ok := against(op.Path, segs)
			if !ok {
				continue
			}
			needs := 0
			for _, q := range op.Query {
				got, here := r.pick(query, q.Key)
				ok = ok && here && got == q.Value
				needs += 100
			}
			for _, b := range op.QueryMembers {
				if b.Required && p.s3 {
					_, here := r.pick(query, b.Wire)
					ok = ok && here
					needs++
				}
			}
			if b, _ := op.HeaderMembers.Get("x-amz-copy-source"); b.Required {
				_, here := r.header(w.header, "x-amz-copy-source")
				ok = ok && here
				needs++
			}
			if !ok {
				continue
			}
			hits = append(hits, hit{candidate{s, op}, p, labels, rank + ":" + strconv.Itoa(90000-needs), op.HostPrefix == p.prefix})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if c := strings.Compare(a.rank, b.rank); c != 0 {
			return c
		}
		if a.prefix != b.prefix {
			if a.prefix {
				return -1
			}
			return 1
		}
		return strings.Compare(a.svc.ID+a.op.Name, b.svc.ID+b.op.Name)
	})
	if len(hits) == 0 {
		return nil, errNotRead
	}
	return slices.DeleteFunc(hits, func(h hit) bool { return h.rank != hits[0].rank || h.prefix != hits[0].prefix }), nil
}

// bound reads the parameters of the operation found: in the body, then in path,
// query and headers.
func (r *reader) bound(out *reading, w wire, hits []hit, query []param, body []byte) error {
	var list []candidate
	for _, h := range hits {
		list = append(list, h.candidate)
	}
	if err := out.take(list, w.as); err != nil {
		return err
	}
	h := hits[slices.IndexFunc(hits, func(h hit) bool { return h.svc == out.of.svc && h.op.Name == out.of.op.Name })]
	op := out.of.op
	if !w.streams && !op.StreamingInput && len(body) > 0 {
		if err := out.payload(body); err != nil {
			return err
		}
	}
	for label, v := range h.labels {
		dec, err := url.PathUnescape(v)
		if err != nil {
			return err
		}
		name := or(op.Labels.Get(label), label)
		if name == "Bucket" && h.place.accessPoint != "" {
			dec = h.place.accessPoint
		}
		out.set(name, []string{dec})
	}
	out.query(query)
	return out.headers(w)
}

// payload reads a REST body: the members that are bound nowhere else, or the one
// that is all of it. One that is a text or bytes is kept apart.
func (out *reading) payload(body []byte) error {
	op := out.of.op
	shape := *op.Input
	if op.Payload != "" {
		if shape = out.shapeOf(op.Payload); out.shapes.At(shape).IsScalar() {
			out.text = map[string][]byte{op.Payload: body}
			return nil
		}
	}
	if !slices.Contains(out.of.svc.Protocols, "rest-xml") {
		return out.document(op.Payload, shape, body, out.json)
	}
	e, err := out.readXML(body)
	if err == nil {
		out.xml(op.Payload, shape, e)
	}
	return err
}

// set replaces what is known of a member by what a better place says.
func (out *reading) set(name string, values []string) {
	for k := range out.params {
		if k == name || strings.HasPrefix(k, name+".") {
			delete(out.params, k)
		}
	}
	for _, v := range values {
		out.add(name, out.shapeOf(name), v)
	}
}

// query reads the members that are bound to query parameters, of a list each, and
// the one that takes the parameters of no other.
func (out *reading) query(query []param) {
	op := out.of.op
	rest := query
	for _, b := range op.QueryMembers {
		name := or(b.Member, b.Wire)
		sh := out.shapes.At(out.shapeOf(name))
		if all := out.all(query, b.Wire); len(all) > 0 && !sh.IsMap() {
			if !sh.IsList() {
				all = []string{one(out.reader, all)}
			}
			out.set(name, all)
			rest = slices.DeleteFunc(slices.Clone(rest), func(p param) bool { return out.same(p.key, b.Wire) })
		}
	}
	for _, b := range op.QueryMembers {
		sh := out.shapes.At(out.shapeOf(b.Member))
		if !sh.IsMap() {
			continue
		}
		for _, p := range rest {
			if !slices.ContainsFunc(op.Query, func(q catalog.Pair) bool { return q.Key == p.key }) {
				out.add(below(b.Member, p.key), sh.Of, p.value)
			}
		}
	}
}

// headers reads the members that are bound to headers: one to one, a list between
// commas, JSON in base64, or a map of all that begin alike.
func (out *reading) headers(w wire) error {
	for _, b := range out.of.op.HeaderMembers {
		name := or(b.Member, b.Wire)
		shape := out.shapeOf(name)
		sh := out.shapes.At(shape)
		if prefix := strings.TrimSuffix(b.Wire, "*"); prefix != b.Wire || strings.HasSuffix(prefix, "-") {
			for k, v := range w.header {
				if len(k) > len(prefix) && strings.EqualFold(k[:len(prefix)], prefix) {
					out.add(below(name, strings.ToLower(k[len(prefix):])), sh.Of, one(out.reader, v))
				}
			}
			continue
		}
		v, ok := out.header(w.header, b.Wire)
		switch {
		case !ok || v == "":
		case sh.IsList():
			values := strings.Split(v, ",")
			for i := range values {
				values[i] = strings.TrimSpace(values[i])
			}
			out.set(name, values)
		case sh.Kind == catalog.JSONValue:
			text, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return err
			}
			if err := out.document(name, unknown, text, out.json); err != nil {
				return err
			}
		default:
			out.set(name, []string{v})
		}
	}
	return nil
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// against holds a path template against raw segments. rank sorts the more specific
// template first.
func against(template string, segs []string) (map[string]string, string, bool) {
	template = strings.TrimPrefix(template, "/")
	var parts []string
	if template != "" {
		parts = strings.Split(template, "/")
	}
	labels, rank := map[string]string{}, ""
	for i, p := range parts {
		switch {
		case strings.HasSuffix(p, "+}"):
			n := len(segs) - i - (len(parts) - i - 1)
			if n < 1 {
				return nil, "", false
			}
			labels[p[1:len(p)-2]] = strings.Join(segs[i:i+n], "/")
			sub, more, ok := against(strings.Join(parts[i+1:], "/"), segs[i+n:])
			for k, v := range sub {
				labels[k] = v
			}
			return labels, rank + "2" + more, ok
		case i >= len(segs):
			return nil, "", false
		case strings.HasPrefix(p, "{"):
			if segs[i] == "" {
				return nil, "", false
			}
			labels[p[1:len(p)-1]] = segs[i]
			rank += "1"
		case p != segs[i]:
			return nil, "", false
		default:
			rank += "0"
		}
	}
	return labels, rank, len(parts) == len(segs)
}

// decodeUnreserved decodes percent-escapes of characters that need none, which
// RFC 3986 calls equivalent.
func decodeUnreserved(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		n, _ := strconv.ParseUint(e[1:], 16, 8)
		c := byte(n)
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			return string(c)
		}
		return e
	})
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
