package awsapi_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// wire is a request as it goes on to AWS: all that a reader knows.
type wire struct {
	method, host, path, query string
	header                    http.Header
	body                      []byte
	streams                   bool
	signingName               string
	as                        string // the service:Operation to take the shapes of, where nothing tells several apart
}

// reader reads a request as some server behind the gateway might. It takes the
// catalog's tables and shapes as data and shares no code with the package. Of two
// readers, one keeps the first of what comes twice and minds case and spelling; the
// other keeps the last, takes names in any case and members by the model's name as
// well, numbers in any spelling, is lax about content types, decodes what needs no
// percent-encoding before it looks at the path, and takes a plus in a URL as one.
type reader struct {
	lax   bool
	cat   *catalog.Catalog
	hosts *hostTable
}

// reading is what a reader understood.
type reading struct {
	operations []string // service:Operation, more than one where nothing tells them apart
	under
}

func (r *reader) name() string {
	if r.lax {
		return "last of duplicates, any case"
	}
	return "first of duplicates, exact case"
}

// same compares two names.
func (r *reader) same(a, b string) bool { return a == b || r.lax && strings.EqualFold(a, b) }

// one is that of several which this reader takes.
func one[T any](r *reader, list []T) T {
	if r.lax {
		return list[len(list)-1]
	}
	return list[0]
}

// header is the value that this reader takes.
func (r *reader) header(h http.Header, name string) (string, bool) {
	var got []string
	for k, v := range h {
		if strings.EqualFold(k, name) {
			got = append(got, v...)
		}
	}
	if len(got) == 0 {
		return "", false
	}
	return one(r, got), true
}

type param struct{ key, value string }

// split decodes a query or form; plus says that + is a space.
func split(raw string, plus bool) ([]param, error) {
	var out []param
	for _, part := range strings.FieldsFunc(raw, func(c rune) bool { return c == '&' }) {
		k, v, _ := strings.Cut(part, "=")
		decode := url.PathUnescape
		if plus {
			decode = url.QueryUnescape
		}
		key, err := decode(k)
		if err != nil {
			return nil, err
		}
		val, err := decode(v)
		if err != nil {
			return nil, err
		}
		out = append(out, param{key, val})
	}
	return out, nil
}

// all are the values of the parameters with the name.
func (r *reader) all(list []param, name string) []string {
	var out []string
	for _, p := range list {
		if r.same(p.key, name) {
			out = append(out, p.value)
		}
	}
	return out
}

func (r *reader) pick(list []param, name string) (string, bool) {
	if all := r.all(list, name); len(all) > 0 {
		return one(r, all), true
	}
	return "", false
}

var errNotRead = errors.New("the request cannot be read")

// plain undoes the body's encoding: the first gzip member, or all that are there.
func (r *reader) plain(w wire) ([]byte, error) {
	ce, _ := r.header(w.header, "Content-Encoding")
	if !strings.EqualFold(ce, "gzip") || w.streams || len(w.body) == 0 {
		return w.body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(w.body))
	if err != nil {
		return nil, err
	}
	z.Multistream(r.lax)
	return io.ReadAll(z)
}

// read understands w, or fails.
func (r *reader) read(w wire) (reading, error) {
	out := reading{under: under{reader: r, params: map[string][]string{}}}
	query, err := split(w.query, !r.lax)
	if err != nil {
		return out, err
	}
	body, err := r.plain(w)
	if err != nil {
		return out, err
	}
	ct, _ := r.header(w.header, "Content-Type")
	ct, _, _ = strings.Cut(strings.ToLower(ct), ";")
	isForm := strings.TrimSpace(ct) == "application/x-www-form-urlencoded"
	var form []param
	if isForm || r.lax && w.method == "POST" && !w.streams && bytes.Contains(body, []byte("=")) && utf8.Valid(body) {
		if form, err = split(string(body), true); err != nil && isForm {
			return out, err
		}
	}
	place := r.hosts.find(w.host)
	if len(place) > 0 && place[0].express && strings.HasPrefix(w.path, "/v20180820/") {
		place = r.hosts.control // S3 Control, by the name of S3 Express's
	}
	if len(place) == 0 {
		return out, errNotRead
	}
	if !place[0].s3 {
		if done, err := r.rpc(&out, w, place, append(slices.Clone(query), form...), body); done {
			return out, err
		}
	}
	return out, r.rest(&out, w, place, query, body)
}

// mark is what tells that a request is of one of the RPC protocols.
type mark struct {
	here      bool
	protocols []string
	operation func(s *catalog.Service) string
}

func (r *reader) marks(w wire, calls []param) []mark {
	action, hasAction := r.pick(calls, "Action")
	target, hasTarget := r.header(w.header, "X-Amz-Target")
	smithy, _ := r.header(w.header, "Smithy-Protocol")
	marks := []mark{
		{smithy == "rpc-v2-cbor", []string{"smithy-rpc-v2-cbor"}, func(s *catalog.Service) string {
			f := strings.Split(w.path, "/")
			if len(f) != 5 || f[1] != "service" || f[3] != "operation" || f[2] != s.RPCName && f[2] != s.TargetPrefix {
				return ""
			}
			return f[4]
		}},
		{hasTarget, []string{"json"}, func(s *catalog.Service) string {
			i := strings.LastIndexByte(target, '.')
			if i < 0 || s.TargetPrefix == "" || !r.same(target[:i], s.TargetPrefix) {
				return ""
			}
			return target[i+1:]
		}},
		{hasAction, []string{"query", "ec2"}, func(s *catalog.Service) string {
			v, ok := r.pick(calls, "Version")
			if ok && !slices.Contains(s.APIVersions, v) && !slices.Contains(s.Protocols, "ec2") {
				return ""
			}
			return action
		}},
	}
	if r.lax {
		slices.Reverse(marks)
	}
	return marks
}

// rpc reads what bears the mark of an RPC protocol. It is not done where none does,
// or none that a service behind the host speaks.
func (r *reader) rpc(out *reading, w wire, place []spot, calls []param, body []byte) (done bool, err error) {
	for _, m := range r.marks(w, calls) {
		if !m.here {
			continue
		}
		spoken := false
		var found []candidate
		for _, p := range place {
			s, err := r.cat.Service(p.service)
			if err != nil {
				return true, err
			}
			if !p.signs(s, w.signingName) || !slices.ContainsFunc(m.protocols, func(x string) bool { return slices.Contains(s.Protocols, x) }) {
				continue
			}
			spoken = true
			op := s.Operations[m.operation(s)]
			if op != nil && (p.prefix == "" || op.HostPrefix == p.prefix) {
				found = append(found, candidate{s, op})
			}
		}
		if !spoken || r.lax && len(found) == 0 {
			continue
		}
		if len(found) == 0 {
			return true, nil
		}
		if err := out.take(found, w.as); err != nil {
			return true, err
		}
		switch m.protocols[0] {
		case "query":
			out.form(calls)
			return true, nil
		case "json":
			return true, out.document("", *out.of.op.Input, body, r.json)
		}
		return true, out.document("", *out.of.op.Input, body, r.cbor)
	}
	return false, nil
}

// candidate is an operation that a request may be.
type candidate struct {
	svc *catalog.Service
	op  *catalog.Operation
}

// take notes the operations found, and the shapes of the one to read.
func (out *reading) take(list []candidate, as string) error {
	out.of = list[0]
	for _, f := range list {
		name := f.svc.ID + ":" + f.op.Name
		out.operations = append(out.operations, name)
		if name == as {
			out.of = f
		}
	}
	var err error
	out.shapes, err = out.of.svc.Shapes()
	if out.of.op.Input == nil {
		op := *out.of.op
		op.Input = new(int32)
		*op.Input = unknown
		out.of.op = &op
	}
	return err
}
