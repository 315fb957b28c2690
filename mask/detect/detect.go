package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Config says what a Scanner looks for. The zero value looks for nothing.
type Config struct {
	// Sets are names of groups of detectors: "aws-keys", "private-keys", "jwt",
	// "tokens" (see DefaultSets), and "emails", "cards", "phones", "ssns", "ibans".
	Sets   []string
	Custom []Custom
}

// Custom is a detector of the configuration's own.
type Custom struct {
	Name string
	// Regex is an RE2 expression. It is looked for inside texts, so it takes no "^" or
	// "$", must not match the empty text, and its matches must be bounded: at most
	// MaxCustom bytes.
	Regex string
	// Keywords, if any, are texts (in any case) one of which must stand within 128
	// bytes of a match.
	Keywords []string
	// Group is the number of the group that is the secret. 0 means the group named
	// "secret", or else the first that took part, or else the whole match.
	Group int
	// Entropy is the least entropy of the secret in bits a byte; 0 asks for none.
	Entropy float64
}

// DefaultSets are the groups that are on where a configuration names none.
func DefaultSets() []string { return []string{"aws-keys", "private-keys", "jwt", "tokens"} }

// Span is a place that holds a secret, text[Start:End], and the detector that found it.
type Span struct {
	Start, End int
	Rule       string
}

// Scanner finds secrets. It is safe for concurrent use.
type Scanner struct {
	table   *table
	leading []*rule // those whose secret begins before their keyword
	general []*rule // without keywords
}

// New makes a Scanner. An error says which entry is wrong and how to mend it.
func New(c Config) (*Scanner, error) {
	sets, err := builtin()
	if err != nil {
		return nil, err
	}
	var rules []*rule
	for i, name := range c.Sets {
		set, ok := sets[name]
		if !ok {
			return nil, fmt.Errorf("no set of detectors is named %q; there are %s", name, strings.Join(setNames(), ", "))
		}
		if !slices.Contains(c.Sets[:i], name) {
			rules = append(rules, set...)
		}
	}
	s := &Scanner{}
	names := map[string]bool{}
	for _, custom := range c.Custom {
		if names[custom.Name] {
			return nil, fmt.Errorf("two detectors are named %q: give each a name of its own", custom.Name)
		}
		names[custom.Name] = true
		r, err := custom.rule()
		if err != nil {
			return nil, fmt.Errorf("detector %q: %w", custom.Name, err)
		}
		if len(r.keywords) == 0 {
			s.general = append(s.general, r)
		} else {
			rules = append(rules, r)
		}
	}
	for _, r := range rules {
		if r.lead != 0 || r.back != nil {
			s.leading = append(s.leading, r)
		}
	}
	s.table = newTable(rules)
	return s, nil
}

// Find returns the secrets in text, in order and apart from each other. Only the
// secret itself is in a span, not the words that announce it. label is the name of
// the member that the text stands under, "" if there is none: it counts as standing
// in front of the text, and under a name like AccessKeyId access key ids stay.
//
// Find looks at the text as it is; Mask also looks into what is encoded in it.
func (s *Scanner) Find(label string, text []byte) []Span {
	spans, _ := s.find(label, text)
	return spans
}

// find is Find; touched tells that a keyword stands in the text or its label.
func (s *Scanner) find(label string, text []byte) (spans []Span, touched bool) {
	f := found{keepKeyIDs: asksForKeyID(label)}
	s.scan(text, 0, true, &f)
	for _, r := range s.general {
		r.general(text, 0, true, &f)
	}
	if label != "" {
		s.labelled(label, text, &f)
	}
	if len(f.spans) == 0 {
		return nil, f.touched
	}
	return merge(f.spans), true
}

// found is what a scan gathers.
type found struct {
	spans      []Span
	keepKeyIDs bool
	touched    bool // a keyword was seen
	// By rule's slot: keywords before it add nothing. Long texts of one kind, made of
	// keywords, would else be read from each of them on.
	until [slots]int
	// Of a text that is not final: from hold on it is undecided, and the scan must go
	// on from keywords at resume. A secret without an end begins at opened (-1: none).
	hold, resume, opened int
	openedBy             *rule
}

// scan finds the secrets of all keywords in t[from:].
func (s *Scanner) scan(t []byte, from int, final bool, f *found) {
	if len(t)-from >= 2 {
		flag := &s.table.flag
		v := uint16(t[from])
		for i, c := range t[from+1:] {
			v = v<<8 | uint16(c)
			if flag[v] {
				s.hit(t, from+i, from, v, final, f)
			}
		}
	}
	if final {
		return
	}
	if p := s.table.begins(t, from); p < len(t) {
		f.hold, f.resume = min(f.hold, p), min(f.resume, p)
	}
	for _, r := range s.leading {
		f.hold = min(f.hold, r.leads(t))
	}
}

// hit looks at the keywords whose rarest pair stands at t[i:].
func (s *Scanner) hit(t []byte, i, from int, v uint16, final bool, f *found) {
	for _, k := range s.table.buckets[s.table.bucket[v]] {
		p := i - k.off
		if p < from || !at(k, t[p:]) {
			continue
		}
		f.touched = true
		for _, r := range k.rules {
			if r.keyID && f.keepKeyIDs || r.slot > 0 && p < f.until[r.slot] {
				continue
			}
			start, end, judged := r.at(t, p, final)
			switch judged {
			case no:
				if r.slot > 0 && end > 0 {
					f.until[r.slot] = end
				}
			case yes:
				switch {
				case r.ends != nil:
					// What begins in a key ends with it, but in its END line.
					f.until[r.slot] = end - 2*longestTitle
				case r.whole:
					f.until[r.slot] = end
				}
				f.spans = append(f.spans, Span{start, end, r.name})
			case more:
				f.hold, f.resume = min(f.hold, start), min(f.resume, p)
			case opened:
				f.until[r.slot] = len(t)
				if f.opened < 0 || start < f.opened {
					f.opened, f.openedBy = start, r
				}
				f.hold, f.resume = min(f.hold, start), min(f.resume, p)
			}
		}
	}
}

// labelled finds what the label announces: its end is put in front of the text as a
// member's name stands in JSON. That is done only if a keyword is in it.
func (s *Scanner) labelled(label string, text []byte, f *found) {
	const between, longest, window = `": "`, 128, 8192
	label = label[max(0, len(label)-longest):]
	head := len(label) + len(between)
	var line []byte
	for i := 0; i+1 < len(label); i++ {
		v := uint16(label[i])<<8 | uint16(label[i+1])
		if !s.table.flag[v] {
			continue
		}
		for _, k := range s.table.buckets[s.table.bucket[v]] {
			p := i - k.off
			if p < 0 || !at(k, label[p:]) {
				continue
			}
			if line == nil {
				line = append(append([]byte(label), between...), text[:min(len(text), window)]...)
				if len(text) <= window {
					line = append(line, '"')
				}
			}
			f.touched = true
			for _, r := range k.rules {
				start, end, judged := r.at(line, p, true)
				if judged == yes && start >= head && end <= head+len(text) && !(r.keyID && f.keepKeyIDs) {
					f.spans = append(f.spans, Span{start - head, end - head, r.name})
				}
			}
		}
	}
}

// merge sorts spans and joins those that overlap; the one that begins first, and of
// those the longest, gives its name.
func merge(spans []Span) []Span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(a.Rule, b.Rule))
	})
	out := spans[:1]
	for _, s := range spans[1:] {
		if last := &out[len(out)-1]; s.Start < last.End {
			last.End = max(last.End, s.End)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// asksForKeyID tells the labels under which an access key id is what an operation on
// keys needs: AccessKeyId, aws_access_key_id, SSHPublicKeyId is none.
func asksForKeyID(label string) bool {
	const name = "accesskeyid"
	n := len(name)
	for i := len(label) - 1; i >= 0; i-- {
		c := lower(label[i])
		if !isAlnum(c) {
			continue
		}
		if n == 0 || c != name[n-1] {
			return n == 0
		}
		n--
	}
	return n == 0
}
