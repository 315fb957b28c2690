package mask

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// DefaultMaxBody is the largest answer that is masked when Options.MaxBody is 0.
const DefaultMaxBody = 16 << 20

// Options configure a Masker. The zero value masks everything there is to mask.
type Options struct {
	// MaxBody is the largest answer in bytes, before and after decoding, that
	// is read to be masked; larger ones are refused. 0 means DefaultMaxBody.
	MaxBody int64
	// PassAWSSensitive leaves the catalog's members alone, so that only rule
	// paths mask.
	PassAWSSensitive bool
}

// Masker makes plans. It is safe for concurrent use.
type Masker struct {
	maxBody int64
	passAWS bool
}

// New returns a Masker.
func New(o Options) *Masker {
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	return &Masker{maxBody: o.MaxBody, passAWS: o.PassAWSSensitive}
}

// Member is one output member to mask, a row of the catalog.
type Member struct {
	Path   string // dotted wire names, `*` for a list or map element; empty is the whole body
	Member string // the same in model names
	In     string // body, payload, header, prefixHeaders, status
	Type   string // shape type: string, blob, integer, structure, map-key, ...
	XML    string // element path below the root, /-separated, `@x` an attribute
}

// Input is one call, as far as masking needs to know it.
type Input struct {
	// Protocol is the catalog's name of the protocol the client speaks.
	Protocol string
	// Members are the operation's secret output members for that protocol.
	Members []Member
	// Recursive are wire paths at which a shape contains itself: what is masked
	// below its first occurrence is masked below these too.
	Recursive []string
	// Paths are the rule's paths, see ValidatePath.
	Paths []string
	// Unmask are members (wire path or model name) that the rule gives to the
	// agent; one that names a structure covers what is below. `*` is all.
	// Paths outrank it.
	Unmask []string
	// StreamingOutput and EventStreamOutput say that the answer is an object
	// body or an event stream.
	StreamingOutput   bool
	EventStreamOutput bool
}

// Plan says what to mask in the answer to one call. It is used before the call
// is sent: an error means that the answer could not be masked, and that the call
// must not be made. The error is a *refusal.Error.
func (m *Masker) Plan(in Input) (*Plan, error) {
	p := &Plan{protocol: in.Protocol, maxBody: m.maxBody, root: &node{}, xmlRoot: &node{}, headers: map[string]string{}, prefixes: map[string]string{}}
	for _, path := range in.Paths {
		r, err := parseRulePath(path)
		if err != nil {
			return nil, refusal.Wrap(refusal.Denied, err, "the rule that allows this call has a mask path that cannot be applied, so the call was not made")
		}
		p.rules = append(p.rules, r)
		p.body = true
	}
	if !m.passAWS {
		for _, mem := range in.Members {
			if !unmasked(mem, in.Unmask) {
				p.add(mem)
			}
		}
		if len(in.Members) >= cutOff {
			p.addWhole(in.Unmask)
		}
		for _, at := range in.Recursive {
			p.root.reenter(split(at, "."))
		}
		p.xmlRecursive = len(in.Recursive) > 0
	}
	if !p.body {
		return p, nil
	}
	var why string
	switch {
	case in.EventStreamOutput:
		why = "the answer is an event stream, which cannot be masked"
	case in.StreamingOutput && len(p.rules) > 0:
		why = "the answer is an object body, in which a rule's mask paths cannot be applied"
	case !isJSON(in.Protocol) && !isXML(in.Protocol):
		why = "answers in the protocol " + in.Protocol + " cannot be masked; use a client that speaks JSON or query"
	case isXML(in.Protocol) && p.xmlRecursive:
		why = "the answer is recursive XML, which cannot be masked"
	}
	if why != "" {
		return nil, refusal.New(refusal.Denied, "this operation returns values that must be masked, and %s; the call was not made", why)
	}
	return p, nil
}

// cutOff is the number of paths at which the catalog stops listing an
// operation's members (nine QuickSight operations have more).
const cutOff = 4000

// addWhole masks every value of the document. It is for lists that were cut off:
// what is missing there cannot be told from what is listed.
func (p *Plan) addWhole(unmask []string) {
	if !slices.Contains(unmask, "*") {
		p.add(Member{In: "body", Type: "structure"})
	}
}

func isJSON(protocol string) bool { return protocol == "json" || protocol == "rest-json" }

func isXML(protocol string) bool {
	return protocol == "query" || protocol == "ec2" || protocol == "rest-xml"
}

func (p *Plan) add(m Member) {
	switch m.In {
	case "header":
		p.headers[strings.ToLower(m.Path)] = m.Path
		return
	case "prefixHeaders":
		// The path may go on to the map's elements; the prefix is the first part.
		prefix, _, _ := strings.Cut(m.Path, ".")
		p.prefixes[strings.ToLower(prefix)] = m.Path
		return
	case "status", "statusCode":
		return
	}
	p.body = true
	if m.In == "payload" && m.Path == "" && (m.Type == "blob" || m.Type == "string") {
		// The body is the value itself and no document.
		p.raw = true
		return
	}
	label := m.Path
	if label == "" {
		label = "*"
	}
	p.root.insert(split(m.Path, "."), m.Type, label)
	p.xmlRoot.insert(split(m.XML, "/"), m.Type, label)
}

func split(s, sep string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, sep)
}

func unmasked(m Member, unmask []string) bool {
	for _, u := range unmask {
		u = strings.ReplaceAll(u, "#", "*")
		if u == "*" || covers(u, m.Path) || covers(u, m.Member) {
			return true
		}
	}
	return false
}

// covers reports that path is u or lies below it. An empty path is the whole
// body, which only `*` or the member's name may give away.
func covers(u, path string) bool {
	return u != "" && path != "" && (path == u || strings.HasPrefix(path, u+"."))
}
