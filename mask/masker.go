package mask

import (
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sallyport/sallyport/mask/detect"
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
	// paths and detectors mask.
	PassAWSSensitive bool
	// Scanner finds secrets in text that no path marks. nil: nothing is detected.
	Scanner *detect.Scanner
	// MaskObjects runs the scanner over object bodies too (S3 GetObject), which
	// otherwise reach the agent as they are.
	MaskObjects bool
	// Analyzer looks at the texts of answers that are read whole, after the scanner's
	// kind of secrets. nil: nobody does. Where it fails the answer is withheld.
	Analyzer Analyzer
	// FingerprintKey is for Fingerprint, at least KeySize bytes. Without it a plan
	// that asks for fingerprints is refused.
	FingerprintKey []byte
}

// Masker makes plans. It is safe for concurrent use.
type Masker struct {
	maxBody int64
	passAWS bool
	scan    scanner // nil: nothing is detected
	analyze Analyzer
	objects bool
	swap    swapper
	plans   *lru.Cache[string, *Plan]
}

// New returns a Masker.
func New(o Options) *Masker {
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	plans, err := lru.New[string, *Plan](maxPlans)
	if err != nil {
		panic("mask: " + err.Error()) // the size is a constant
	}
	m := &Masker{plans: plans, maxBody: o.MaxBody, passAWS: o.PassAWSSensitive, analyze: o.Analyzer, objects: o.MaskObjects, swap: swapper{o.FingerprintKey}}
	if o.Scanner != nil { // a nil Scanner is no nil scanner
		m.scan = o.Scanner
	}
	return m
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
	// below its first occurrence is masked below these too. No shape of an XML
	// protocol does.
	Recursive []string
	// Paths are the rule's paths.
	Paths []Path
	// Style is how marked members and detections are replaced.
	Style Style
	// Unmask are members (wire path or model name) that the rule gives to the
	// agent; one that names a structure covers what is below. `*` is all.
	// Paths outrank it.
	Unmask []string
	// StreamingOutput and EventStreamOutput say that the answer is an object
	// body or an event stream.
	StreamingOutput   bool
	EventStreamOutput bool
	// Part is the number of the part of an object that the call asks for, "" for none
	// (S3's partNumber).
	Part string
}

// Path is one path of a rule and how it masks.
type Path struct {
	Path string // see ValidatePath
	As   Style
}

func (p Path) String() string {
	if p.As == "" || p.As == Redact {
		return p.Path
	}
	return p.Path + " (" + string(p.As) + ")"
}

// Plan says what to mask in the answer to one call. It is used before the call
// is sent: an error means that the answer could not be masked, and that the call
// must not be made. The error is a *refusal.Error.
func (m *Masker) Plan(in Input) (*Plan, error) {
	p := &Plan{
		protocol: in.Protocol, masker: m, style: in.Style, root: &node{}, xmlRoot: &node{}, headers: map[string]string{}, prefixes: map[string]string{}, exposed: map[string]bool{},
		object: in.StreamingOutput && !in.EventStreamOutput, events: in.EventStreamOutput,
	}
	for _, path := range in.Paths {
		r, err := parseRulePath(path.Path)
		if err != nil {
			return nil, refusal.Wrap(refusal.Denied, err, "the rule that allows this call has a mask path that cannot be applied, so the call was not made")
		}
		r.style = path.As
		p.rules = append(p.rules, at{rule: r})
	}
	if p.events {
		p.stream = streamMember(in.Members)
	}
	for _, mem := range in.Members {
		switch {
		case unmasked(mem, in.Unmask):
			p.lenient = true
			p.expose(mem)
		case !m.passAWS:
			p.add(mem)
		default:
			p.lenient = true
		}
	}
	p.lenient = p.lenient || p.object && !p.Secret() && m.scan != nil && !m.objects
	if !m.passAWS {
		for _, at := range in.Recursive {
			p.root.reenter(split(at, "."))
		}
	}
	if m.analyze != nil && p.events {
		return nil, refusal.New(refusal.Denied, "this operation answers with an event stream, at which mask.presidio cannot look; the call was not made")
	}
	if p.Secret() && !isJSON(in.Protocol) && !isXML(in.Protocol) && !isCBOR(in.Protocol) {
		return nil, refusal.New(refusal.Denied, "this operation returns values that must be masked, and answers in the protocol %q cannot be; the call was not made", in.Protocol)
	}
	if isXML(in.Protocol) && len(in.Recursive) > 0 && p.marks {
		return nil, refusal.New(refusal.Denied, "this operation returns values that must be masked, and its answer is recursive XML, which cannot be masked; the call was not made")
	}
	if p.masksObject() && in.Part != "" {
		// A secret may reach over two parts, and which bytes a part has is not known
		// before it comes. The first is all of the object then, as of one that was put
		// in one request; there are no others.
		if in.Part != "1" {
			return nil, refusal.New(refusal.Denied, "the object is masked on its way, and is one part then; ask for partNumber 1, the whole object or a range of bytes. The call was not made")
		}
		p.onePart = true
	}
	if p.fingerprints(in) && len(m.swap.key) < KeySize {
		return nil, refusal.Wrap(refusal.Denied, errNoKey, "the rule that allows this call masks by fingerprints, for which the gateway has no key, so the call was not made")
	}
	return p, nil
}

func (p *Plan) fingerprints(in Input) bool {
	return p.style == Fingerprint || slices.ContainsFunc(in.Paths, func(q Path) bool { return q.As == Fingerprint })
}

func isJSON(protocol string) bool { return protocol == "json" || protocol == "rest-json" }

func isCBOR(protocol string) bool { return protocol == "smithy-rpc-v2-cbor" }

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
	p.marks = true
	if !p.events && m.In == "payload" && m.Path == "" && (m.Type == "blob" || m.Type == "string") {
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

// expose keeps detectors from what a rule's unmask names: a rule that gives an agent
// its one token must not have it masked as a token.
func (p *Plan) expose(m Member) {
	switch m.In {
	case "header":
		p.exposed[strings.ToLower(m.Path)] = true
	case "prefixHeaders", "status", "statusCode":
	default:
		if m.Type != "map-key" {
			p.root.expose(split(m.Path, "."))
			p.xmlRoot.expose(split(m.XML, "/"))
		}
	}
}

// streamMember is the name of the output's event stream, as far as its members tell:
// where the stream is the payload, wire paths begin below it.
func streamMember(members []Member) string {
	for _, m := range members {
		name, ok := strings.CutSuffix(m.Member, "."+m.Path)
		if m.Path == "" { // the stream itself is marked
			name, ok = m.Member, true
		}
		if ok && m.In == "payload" && !strings.Contains(name, ".") {
			return name
		}
	}
	return ""
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
