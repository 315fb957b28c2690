package detect

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// MaxCustom is the greatest length of a custom detector's match in bytes.
const MaxCustom = 4096

func (c Custom) rule() (*rule, error) {
	if c.Name == "" || len(c.Name) > 100 {
		return nil, errors.New("give it a name of 1 to 100 bytes")
	}
	if len(c.Regex) > 2000 {
		return nil, errors.New("its regex is longer than 2000 bytes: make several detectors of it")
	}
	re, err := syntax.Parse(c.Regex, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("its regex cannot be read: %w", err)
	}
	if anchored(re) {
		return nil, errors.New("its regex has ^ or $, but secrets are looked for inside texts: write \\b, or leave it out")
	}
	if least(re) < 3 {
		return nil, errors.New("its regex matches texts of fewer than 3 characters, and would mask nearly everything: make it match more")
	}
	switch n := longest(re); {
	case n < 0:
		return nil, errors.New("its regex has no longest match: write {1,200} instead of + and {0,200} instead of *")
	case n > MaxCustom:
		return nil, fmt.Errorf("its regex matches up to %d bytes, more than %d: lower its counts", n, MaxCustom)
	}
	if c.Entropy < 0 || c.Entropy > 8 {
		return nil, errors.New("its entropy must be from 0 to 8 bits")
	}
	names := re.CapNames()
	group := c.Group
	if group < 0 || group >= len(names) {
		return nil, fmt.Errorf("its regex has no group %d", group)
	}
	if group == 0 {
		group = max(0, slices.Index(names, "secret"))
	}
	r, err := fromRegex(c.Name, re)
	if err != nil {
		return nil, err
	}
	if len(r.keywords) == 0 && r.boundary {
		// It is searched for, not tried at a place, so it needs its boundary back.
		if re, err = syntax.Parse(c.Regex, syntax.Perl); err != nil {
			return nil, err
		}
		r.pattern, r.boundary = newPattern(re), false
	}
	r.group, r.entropy = group, c.Entropy
	for _, k := range c.Keywords {
		if k == "" || len(k) > nearby {
			return nil, fmt.Errorf("its keywords must have 1 to %d bytes", nearby)
		}
		r.near = append(r.near, strings.ToLower(k))
	}
	return r, nil
}

func anchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpEndLine, syntax.OpEndText:
		return true
	}
	return slices.ContainsFunc(re.Sub, anchored)
}

// least is the smallest length of a match in characters.
func least(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return least(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * least(re.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			n += least(sub)
		}
		return n
	case syntax.OpAlternate:
		n := least(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, least(sub))
		}
		return n
	}
	return 0
}
