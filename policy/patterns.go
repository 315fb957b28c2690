package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPattern bounds a pattern. The longest ARNs that AWS documents are 2,048
// characters; no rule needs that.
const maxPattern = 512

// Glob is a pattern over groups, subjects, target names or regions.
type Glob string

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *Glob) UnmarshalText(text []byte) error {
	*g = Glob(text)
	return checkPattern(string(text))
}

func checkPattern(s string) error {
	switch {
	case s == "":
		return errors.New(`an empty text matches nothing; remove it, or write "*" for any`)
	case len(s) > maxPattern:
		return fmt.Errorf("longer than %d characters", maxPattern)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("holds a character that cannot be printed")
	case strings.TrimSpace(s) != s:
		return errors.New("begins or ends with a space")
	}
	return nil
}

func matchAny(globs []Glob, text string) bool {
	for _, g := range globs {
		if Match(string(g), text) {
			return true
		}
	}
	return false
}

// ActionGlob is a pattern over IAM actions. It is compared in lower case: IAM compares
// actions without regard to case (IAM User Guide, "IAM JSON policy elements: Action").
type ActionGlob struct{ text, lower string }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *ActionGlob) UnmarshalText(text []byte) error {
	s := string(text)
	if err := checkPattern(s); err != nil {
		return err
	}
	*a = ActionGlob{s, strings.ToLower(s)}
	if s == "*" {
		return nil
	}
	service, name, ok := strings.Cut(s, ":")
	if !ok || !onlyActionRunes(service) || !onlyActionRunes(name) {
		return fmt.Errorf("%q is not an IAM action; write service:Action such as s3:GetObject, s3:Get* or *", s)
	}
	return nil
}

// String is the pattern as written.
func (a ActionGlob) String() string { return a.text }

// matches compares with an action in lower case.
func (a ActionGlob) matches(lower string) bool { return Match(a.lower, lower) }

func onlyActionRunes(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '*' || r == '?')
	})
}

// service is the literal service of the pattern, "" where it has a wildcard.
func (a ActionGlob) service() string {
	s, _, _ := strings.Cut(a.lower, ":")
	if strings.ContainsAny(s, "*?") {
		return ""
	}
	return s
}

// arnParts is how many parts an ARN has: arn:partition:service:region:account:resource.
const arnParts = 6

// ARNGlob is a pattern over ARNs. It is compared part by part, as IAM does: a
// wildcard does not reach across a colon, but in the last part. Otherwise
// arn:aws:lambda:*:111122223333:* would match a function of another account that
// is called "111122223333:x".
type ARNGlob struct {
	text  string
	parts [arnParts]string
	any   bool // "*"
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *ARNGlob) UnmarshalText(text []byte) error {
	s := string(text)
	*g = ARNGlob{text: s, any: s == "*"}
	if err := checkPattern(s); err != nil || g.any {
		return err
	}
	parts := strings.SplitN(s, ":", arnParts)
	if parts[0] != "arn" {
		return fmt.Errorf("%q is not an ARN; write arn:partition:service:region:account:resource, with * where any will do, or * alone", s)
	}
	// Fewer parts are clear only when the last is a lone `*`: in arn:aws:iam::*admin*
	// the author means a name, and part by part it would be the account.
	if len(parts) < arnParts && parts[len(parts)-1] != "*" {
		return fmt.Errorf("%q has %d of the 6 parts of an ARN; write arn:partition:service:region:account:resource (wildcards do not reach across a colon)", s, len(parts))
	}
	for i := range g.parts {
		g.parts[i] = "*"
		if i < len(parts) {
			g.parts[i] = parts[i]
		}
	}
	return nil
}

// String is the pattern as written.
func (g ARNGlob) String() string { return g.text }

// resource is a call's resource, split once for all rules.
type resource struct {
	arn     string
	parts   []string
	partial bool
	unknown bool // nothing is known of it, or it is not an ARN
}

func newResource(arn string, partial bool) resource {
	r := resource{arn: arn, partial: partial}
	if arn == "*" {
		r.unknown = partial
		return r
	}
	r.parts = strings.SplitN(arn, ":", arnParts)
	r.unknown = len(r.parts) != arnParts || r.parts[0] != "arn"
	return r
}

// covers reports whether the pattern matches whatever r may be.
func (g ARNGlob) covers(r resource) bool { return g.all(r, false, Covers) }

// mayMatch reports whether the pattern matches something that r may be. A
// resource of which nothing is known may be anything.
func (g ARNGlob) mayMatch(r resource) bool { return g.all(r, true, Overlaps) }

func (g ARNGlob) all(r resource, unknown bool, partial func(pattern, text string) bool) bool {
	switch {
	case g.any:
		return true
	case r.unknown:
		return unknown
	case r.parts == nil: // "*": an action without resource types
		return false
	}
	compare := Match
	if r.partial {
		compare = partial
	}
	for i, p := range g.parts {
		if p != "*" && !compare(p, r.parts[i]) {
			return false
		}
	}
	return true
}
