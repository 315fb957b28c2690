package mask

import (
	"cmp"
	"net/http"
	"slices"
)

// The sources of a finding.
const (
	SourceAWS      = "aws"      // a member of the catalog
	SourceRule     = "rule"     // a path of the rule
	SourceText     = "text"     // signatures, keys and tokens that an error text echoed
	SourceDetector = "detector" // a detector found it in a text that no path marks
)

// Finding says that something was masked, never what.
type Finding struct {
	// Path is as in the catalog or the rule, or a header's name; for a detector the
	// name of the member, or "text" where that could be data.
	Path     string
	Source   string // SourceAWS, SourceRule, SourceText or SourceDetector
	Detector string // the detector's name, with SourceDetector
	Count    int    // how many values
}

// findings counts what was masked, by place. Most answers have one or two places: a
// list is quicker than a map then, and the map takes over where there are many.
type findings struct {
	list  []Finding
	where map[Finding]int // index in list, once there are more than fewPlaces
}

const fewPlaces = 16

func (f *findings) add(path, source, detector string) {
	key := Finding{Path: path, Source: source, Detector: detector}
	if f.where != nil {
		if i, ok := f.where[key]; ok {
			f.list[i].Count++
			return
		}
	} else {
		for i := range f.list {
			if x := &f.list[i]; x.Path == path && x.Source == source && x.Detector == detector {
				x.Count++
				return
			}
		}
	}
	f.list = append(f.list, Finding{path, source, detector, 1})
	switch n := len(f.list); {
	case f.where != nil:
		f.where[key] = n - 1
	case n > fewPlaces:
		f.where = make(map[Finding]int, 2*n)
		for i, x := range f.list {
			x.Count = 0
			f.where[x] = i
		}
	}
}

func (f *findings) sorted() []Finding {
	out := slices.Clone(f.list)
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Detector, b.Detector))
	})
	return out
}

// Plan says what to mask in one answer. The zero value masks nothing and must
// not be used; Masker.Plan makes plans.
type Plan struct {
	protocol string
	masker   *Masker
	style    Style // of marked members and detections
	root     *node // wire paths, for JSON and CBOR
	xmlRoot  *node // element paths, for XML
	rules    []at
	headers  map[string]string // lower-case name -> label
	prefixes map[string]string // lower-case prefix -> label
	exposed  map[string]bool   // lower-case name of a header that the rule gives to the agent
	marks    bool              // the catalog marks something in the body
	raw      bool              // the body itself is the secret value
	object   bool              // the body is an object that streams
	onePart  bool              // and its first part is asked for
	events   bool              // the body is an event stream
	lenient  bool              // it gives the agent what must not be recorded
	stream   string            // the output's event stream member, "" where not known
}

// NeedsBody reports that a successful answer is read whole before any of it is
// passed on.
func (p *Plan) NeedsBody() bool {
	switch {
	case p.events:
		return false
	case p.object:
		return p.marks || len(p.rules) > 0
	}
	return p.marks || len(p.rules) > 0 || p.masker.looks()
}

// looks reports that texts which no path marks are looked at.
func (m *Masker) looks() bool { return m.scan != nil || m.analyze != nil }

// Secret reports that something in the body is known to be secret before it is
// seen: then its digests, and pieces of it, are secret too.
func (p *Plan) Secret() bool { return p.marks || len(p.rules) > 0 }

// PassesObject reports that a successful answer is an object that goes to the agent as it
// is: nobody has looked for secrets in it.
func (p *Plan) PassesObject() bool { return p.object && !p.changes() }

// Changes reports that a successful answer's body may be changed.
func (p *Plan) changes() bool {
	return p.Secret() || p.masker.looks() && (!p.object || p.masker.objects)
}

// DropForMask names the request headers that must not reach AWS for this call.
// Ranges and conditions would let an agent ask for a secret piece by piece, or
// compare it with a guess; checksums of the real answer are such a comparison
// too. Conditions of a REST call that changes something are left: they keep it from
// overwriting what another wrote (CloudFront's If-Match), and it answers with the
// same body whether or not they are there. Accept-Encoding must then be set to
// identity. It is nil where the body is not masked.
func (p *Plan) DropForMask(method string) []string {
	if !p.changes() {
		return nil
	}
	drop := []string{"Accept-Encoding", "X-Amz-Checksum-Mode"}
	if p.Secret() && (!p.free() || method == http.MethodGet || method == http.MethodHead) {
		drop = append(drop, "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range")
	}
	return drop
}
