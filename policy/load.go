package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/mask"
)

// File is a rule file's name, for messages, and its bytes.
type File struct {
	Name string
	Data []byte
}

// document is the root of a rule file.
type document struct {
	Rules []*Rule    `yaml:"rules"`
	Risk  Thresholds `yaml:"risk"`
	Tests []*Test    `yaml:"tests"`
}

// Load reads rule files and runs their tests. The error, of type
// strictyaml.Problems, has everything that is wrong with all of them.
func Load(paths []string) (*Engine, error) {
	e, err := LoadUntested(paths)
	if err != nil {
		return nil, err
	}
	if err := e.CheckTests(); err != nil {
		return nil, err
	}
	return e, nil
}

// CheckTests runs the tests; the error has every one that fails.
func (e *Engine) CheckTests() error { return e.failedTests().Err() }

// LoadUntested is Load without running the tests, for who runs them himself.
func LoadUntested(paths []string) (*Engine, error) {
	var files []File
	var problems strictyaml.Problems
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			var cause *os.PathError
			if errors.As(err, &cause) {
				err = cause.Err
			}
			problems = append(problems, strictyaml.Problem{File: path, Message: fmt.Sprintf("cannot be read: %v", err)})
			continue
		}
		files = append(files, File{path, data})
	}
	e, parsed := parse(files)
	if problems = append(problems, parsed...); len(problems) > 0 {
		return nil, problems.Err()
	}
	return e, nil
}

// Parse is Load without reading. No files make an Engine that denies everything.
func Parse(files []File) (*Engine, error) {
	e, problems := parse(files)
	if len(problems) == 0 {
		problems = e.failedTests()
	}
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	return e, nil
}

func (e *Engine) failedTests() (problems strictyaml.Problems) {
	for i, r := range e.Test() {
		if r.Problem != "" {
			problems = append(problems, strictyaml.Problem{File: r.File, Line: r.Line, Column: e.tests[i].position.Column, Path: e.tests[i].path,
				Message: "the test fails: " + r.Name + ": " + r.Problem})
		}
	}
	return problems
}

func parse(files []File) (*Engine, strictyaml.Problems) {
	var tests []*Test
	risk, riskIn := defaultThresholds, ""
	var problems strictyaml.Problems
	var rules []*Rule
	digest := sha256.New()
	seen := map[string]*Rule{}
	for _, f := range files {
		digest.Write(f.Data)
		doc := document{Risk: defaultThresholds}
		d := strictyaml.Decode(f.Name, f.Data, &doc)
		if len(d.Problems()) == 0 && !d.Has("rules") {
			d.Errorf("", "there is no key rules; write rules: [] to deny everything")
		}
		for i, r := range doc.Rules {
			if r == nil { // could not be read; the problem is noted
				continue
			}
			path := fmt.Sprintf("rules[%d]", i)
			r.file, r.position = f.Name, d.Position(path)
			for i := range r.Actions {
				r.actionAt = append(r.actionAt, d.Position(fmt.Sprintf("%s.actions[%d]", path, i)))
			}
			for i := range r.Resources {
				r.arnAt = append(r.arnAt, d.Position(fmt.Sprintf("%s.resources[%d]", path, i)))
			}
			r.validate(d, path)
			if first, ok := seen[r.Name]; ok && r.Name != "" {
				d.Errorf(path+".name", "the name %s is taken by the rule at %s:%d", r.Name, first.file, first.position.Line)
			} else {
				seen[r.Name] = r
			}
			rules = append(rules, r)
		}
		for i, t := range doc.Tests {
			if t == nil {
				continue
			}
			t.path = fmt.Sprintf("tests[%d]", i)
			t.file, t.position = f.Name, d.Position(t.path)
			t.validate(d, t.path)
			tests = append(tests, t)
		}
		if d.Has("risk") {
			if riskIn != "" {
				d.Errorf("risk", "%s has the section risk too; one of the files may have it", riskIn)
			}
			risk, riskIn = doc.Risk, f.Name
			risk.validate(d)
		}
		problems = append(problems, d.Problems()...)
	}
	e := newEngine(rules, hex.EncodeToString(digest.Sum(nil)))
	e.tests, e.risk = tests, risk
	return e, problems
}

var ruleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (r *Rule) validate(d *strictyaml.Document, path string) {
	if !ruleName.MatchString(r.Name) {
		d.Errorf(path+".name", "a rule needs a name of letters, digits, . _ or -, at most 64 characters long")
	}
	if len(r.Who.Groups)+len(r.Who.Subjects) == 0 {
		d.Errorf(path+".who", `the rule is for nobody; name groups or subjects, {subjects: ["*"]} for everybody`)
	}
	if len(r.Targets) == 0 {
		d.Errorf(path+".targets", `name the targets of sallyport.yaml that the rule is for, ["*"] for all`)
	}
	if len(r.Actions) == 0 {
		d.Errorf(path+".actions", `name the IAM actions that the rule is for, such as ["s3:Get*"]`)
	}
	if r.Effect == "" {
		d.Errorf(path+".effect", "write effect: allow, effect: ask or effect: deny")
	}
	if r.Effect == "ask" && len(r.Approvers.Groups) == 0 {
		d.Errorf(path+".approvers", "name who may agree, such as approvers: {groups: [sre], count: 1}")
	}
	if r.Effect != "ask" && (len(r.Approvers.Groups) > 0 || r.Approvers.Count != 0) {
		d.Errorf(path+".approvers", "has a meaning only with effect: ask; remove it")
	}
	if r.Effect != "ask" && r.Enrich {
		d.Errorf(path+".enrich", "has a meaning only with effect: ask; remove it")
	}
	if r.Approvers.Count < 0 || r.Approvers.Count > 10 {
		d.Errorf(path+".approvers.count", "%d people cannot be asked; write 1 to 10", r.Approvers.Count)
	}
	if d.Has(path + ".when") {
		var err error
		if r.condition, err = compile(r.When); err != nil {
			d.Errorf(path+".when", "%s", err)
		}
	}
	if r.Effect == "deny" {
		for key, set := range map[string]bool{"allow_credentials": r.AllowCredentials, "mask": len(r.Mask) > 0, "mask_as": r.MaskAs != "", "unmask": len(r.Unmask) > 0, "scope": r.Scope != "", "record": !r.Record.isZero()} {
			if set {
				d.Errorf(path+"."+key, "has no meaning in a rule that denies; remove it")
			}
		}
	}
	for key, list := range map[string][]string{"mask": r.Mask, "unmask": r.Unmask} {
		for i, p := range list {
			why := badPath(p)
			if why == "" && key == "mask" {
				if err := mask.ValidatePath(p); err != nil {
					why = err.Error()
				}
			}
			if why != "" {
				d.Errorf(fmt.Sprintf("%s.%s[%d]", path, key, i), "%q is not a path into the answer, such as Item.ssn.S: %s", p, why)
			}
		}
	}
}

// badPath checks what every path must be; mask knows the syntax.
func badPath(p string) string {
	switch {
	case p == "":
		return "it is empty"
	case len(p) > 256:
		return "it is longer than 256 characters"
	case strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return "it holds a character that cannot be printed"
	case strings.HasPrefix(p, ".") || strings.HasSuffix(p, ".") || strings.Contains(p, ".."):
		return "a name between two dots is empty"
	}
	return ""
}

// CheckTargets reports rules whose targets match none of the configured names: a
// misspelt target in a deny rule would protect nothing without a word.
func (e *Engine) CheckTargets(names []string) error {
	var problems strictyaml.Problems
	if e == nil {
		return nil
	}
	for _, r := range e.rules {
		for _, g := range r.Targets {
			found := g == "*"
			for _, n := range names {
				found = found || Match(string(g), n)
			}
			if !found {
				problems = append(problems, strictyaml.Problem{File: r.file, Line: r.position.Line, Column: r.position.Column,
					Path: "rule " + r.Name, Message: fmt.Sprintf("the target %q matches none of the configured targets: %s", string(g), strings.Join(names, ", "))})
			}
		}
	}
	return problems.Err()
}
