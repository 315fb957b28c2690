package mask

import (
	"net/http"
	"sort"
)

// The sources of a finding.
const (
	SourceAWS  = "aws"  // a member of the catalog
	SourceRule = "rule" // a path of the rule
	SourceText = "text" // signatures, keys and tokens that an error text echoed
)

// Finding says that something was masked, never what.
type Finding struct {
	Path   string // as in the catalog or the rule; a header's name; never text of the answer
	Source string // SourceAWS, SourceRule or SourceText
	Count  int    // how many values
}

type findings struct{ counts map[[2]string]int }

func (f *findings) add(path, source string) {
	if f.counts == nil {
		f.counts = map[[2]string]int{}
	}
	f.counts[[2]string{path, source}]++
}

func (f *findings) list() []Finding {
	out := make([]Finding, 0, len(f.counts))
	for k, n := range f.counts {
		out = append(out, Finding{k[0], k[1], n})
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Path != out[j].Path {
			return out[i].Path < out[j].Path
		}
		return out[i].Source < out[j].Source
	})
	return out
}

// Plan says what to mask in one answer. The zero value masks nothing and must
// not be used; Masker.Plan makes plans.
type Plan struct {
	protocol     string
	maxBody      int64
	root         *node // wire paths, for JSON
	xmlRoot      *node // element paths, for XML
	rules        []*rule
	headers      map[string]string // lower-case name -> label
	prefixes     map[string]string // lower-case prefix -> label
	body         bool              // something in the body is masked
	raw          bool              // the body itself is the secret value
	xmlRecursive bool
}

// Needed reports that something in a successful answer is to be masked. Answers
// of status 300 and above go through Apply whatever it says: their texts
// echo what was signed.
func (p *Plan) Needed() bool { return p.body || len(p.headers) > 0 || len(p.prefixes) > 0 }

// NeedsBody reports that a successful answer is read whole before any of it is
// passed on. Where only Needed is true, headers are masked and the body streams.
func (p *Plan) NeedsBody() bool { return p.body }

// DropForMask names the request headers that must not reach AWS for this call.
// Ranges and conditions would let an agent ask for a secret piece by piece, or
// compare it with a guess; checksums of the real answer are such a comparison
// too. Accept-Encoding must then be set to identity. It is nil where the body is
// not masked.
func (p *Plan) DropForMask() []string {
	if !p.body {
		return nil
	}
	return []string{"Accept-Encoding", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "X-Amz-Checksum-Mode"}
}

// AdjustRequest makes the changes of DropForMask to h.
func (p *Plan) AdjustRequest(h http.Header) {
	drop := p.DropForMask()
	for _, k := range drop {
		h.Del(k)
	}
	if drop != nil {
		h.Set("Accept-Encoding", "identity")
	}
}
