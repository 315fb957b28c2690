package detect

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
)

//go:embed rules/*.json
var data embed.FS

// file is a file of rules/: gitleaks.json is made by gen, own.json is ours.
type file struct {
	Source, Version, Licence, Set string
	Rules                         []struct {
		ID, Set, Regex, Keyword string
		Lead, Group             int
		Entropy                 float64
		Allow, Stop             []string
		Check                   string
	}
}

// builtin are the built-in rules by their set. They are read once.
var builtin = sync.OnceValues(func() (map[string][]*rule, error) {
	sets := written()
	for _, name := range []string{"own.json", "gitleaks.json"} {
		if err := load(name, sets); err != nil {
			return nil, err
		}
	}
	return sets, nil
})

func setNames() []string {
	sets, err := builtin()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(sets))
}

func load(name string, sets map[string][]*rule) error {
	raw, err := data.ReadFile("rules/" + name)
	if err != nil {
		return err
	}
	var f file
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, entry := range f.Rules {
		re, err := syntax.Parse(entry.Regex, syntax.Perl)
		if err != nil {
			return fmt.Errorf("%s: rule %s: %w", name, entry.ID, err)
		}
		bound(re)
		r, err := fromRegex(entry.ID, re)
		if err != nil {
			return fmt.Errorf("%s: rule %s: %w", name, entry.ID, err)
		}
		if entry.Keyword != "" {
			r.keywords, r.lead, r.fold = strings.Split(entry.Keyword, " "), entry.Lead, false
		}
		if len(r.keywords) == 0 {
			return fmt.Errorf("%s: rule %s: its matches begin with no certain text", name, entry.ID)
		}
		if r.check, err = check(entry.Check); err != nil {
			return fmt.Errorf("%s: rule %s: %w", name, entry.ID, err)
		}
		for _, a := range entry.Allow {
			if _, err := regexp.Compile(a); err != nil {
				return fmt.Errorf("%s: rule %s: %w", name, entry.ID, err)
			}
		}
		r.group, r.entropy, r.allow, r.stop = entry.Group, entry.Entropy, entry.Allow, entry.Stop
		r.assigned = strings.Contains(entry.Regex, named) && !strings.Contains(entry.Regex, `|\b(`)
		r.keyID = entry.ID == accessKeyID
		set := entry.Set
		if set == "" {
			set = f.Set
		}
		sets[set] = append(sets[set], r)
	}
	return nil
}

// slots is one more than the number of rules with a slot.
const slots = 6

// accessKeyID stays under a label that asks for one.
const accessKeyID = "aws-access-key-id"

// keyInBase64 gives way to masking the decoded text, where that is done.
const keyInBase64 = "private-key-base64"

// named is the middle of gitleaks' expressions for a value under a service's name.
const named = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}`

func check(name string) (func([]byte) bool, error) {
	switch name {
	case "":
		return nil, nil
	case "mixed":
		return mixedCase, nil
	case "github":
		return githubToken, nil
	}
	return nil, fmt.Errorf("no check is named %q", name)
}

// written are the rules whose matchers are written in Go.
func written() map[string][]*rule {
	pattern := &pattern{}
	r := func(name string, m matcher, keywords ...string) *rule {
		return &rule{name: name, matcher: m, keywords: keywords, pattern: pattern}
	}
	word := func(x *rule) *rule { x.boundary = true; return x }
	fold := func(x *rule) *rule { x.fold = true; return x }
	back := func(x *rule, f func([]byte) int) *rule { x.back = f; return x }
	slot := 0
	long := func(x *rule) *rule { slot++; x.slot = slot; return x }
	toEnd := func(x *rule) *rule { x.whole = true; return long(x) }
	ends := func(x *rule, a armour) *rule { x.ends = a.ends; return long(x) }
	return map[string][]*rule{
		"aws-keys": {
			toEnd(word(r("aws-session-token", run(32), "IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz", "FQoDYXdz", "AQoDYXdz", "AQoEXAMPLE"))),
			word(r("aws-bedrock-api-key", run(36), "bedrock-api-key-")),
		},
		"private-keys": {
			ends(fold(r("private-key", pem, "-----begin")), pemArmour),
			ends(fold(r("private-key", ssh2, "---- begin")), ssh2Armour),
			ends(fold(r("putty-private-key", putty, "private-lines:")), puttyArmour),
			word(r(keyInBase64, pem64, "LS0tLS1CRUdJTi")),
		},
		"jwt":    {long(word(r("jwt", jwt, "eyJ", "eyA", "ewo", "ew0")))},
		"emails": {back(fold(r("email", email, atAlnum()...)), emailBack)},
		"cards":  {word(r("card", card, twoDigits()...))},
		"phones": {r("phone", phone, phoneStarts()...)},
		"ssns":   {word(r("ssn", ssn, twoDigits()...))},
		"ibans":  {word(r("iban", iban, countryDigits()...))},
	}
}
