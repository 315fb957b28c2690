package iameval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Policy is a parsed policy document. The zero value allows nothing.
type Policy struct{ statements []statement }

type statement struct {
	deny                    bool
	actions, notActions     []glob
	resources, notResources []glob
	conditions              []condition
}

// list is a JSON string or a list of strings.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*l = list{s}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

type rawStatement struct {
	Sid         string
	Effect      string
	Action      list
	NotAction   list
	Resource    list
	NotResource list
	Condition   map[string]map[string]list
}

// actionPattern: a vendor without wildcards, or `*` alone (IAM: "Action vendors
// must not contain wildcards").
var actionPattern = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)

// Parse reads a policy document strictly.
func Parse(text string) (*Policy, error) {
	var doc struct {
		Version   string
		Id        string
		Statement []rawStatement
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if dec.More() {
		return nil, errors.New("policy: text after the document")
	}
	// Before 2012-10-17 `${` is plain text.
	if doc.Version != "2012-10-17" || len(doc.Statement) == 0 {
		return nil, errors.New("policy: wants Version 2012-10-17 and a Statement")
	}
	p := &Policy{}
	for i, raw := range doc.Statement {
		s, err := raw.parse()
		if err != nil {
			return nil, fmt.Errorf("policy: statement %d: %w", i, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (raw rawStatement) parse() (statement, error) {
	s := statement{deny: raw.Effect == "Deny", actions: actionGlobs(raw.Action), notActions: actionGlobs(raw.NotAction),
		resources: globs(raw.Resource), notResources: globs(raw.NotResource)}
	switch {
	case raw.Effect != "Allow" && raw.Effect != "Deny":
		return s, fmt.Errorf("effect %q", raw.Effect)
	case (len(raw.Action) == 0) == (len(raw.NotAction) == 0):
		return s, errors.New("wants Action or NotAction")
	case (len(raw.Resource) == 0) == (len(raw.NotResource) == 0):
		return s, errors.New("wants Resource or NotResource")
	}
	for _, a := range append(raw.Action[:len(raw.Action):len(raw.Action)], raw.NotAction...) {
		if !actionPattern.MatchString(a) {
			return s, fmt.Errorf("action %q", a)
		}
	}
	for _, r := range append(raw.Resource[:len(raw.Resource):len(raw.Resource)], raw.NotResource...) {
		// "Resource must be in ARN format or *": six parts, of which the partition and
		// the service hold no wildcards beyond their own text.
		if r != "*" && (!strings.HasPrefix(r, "arn:") || strings.Count(r, ":") < 5) {
			return s, fmt.Errorf("resource %q is no ARN", r)
		}
	}
	for operator, keys := range raw.Condition {
		for key, values := range keys {
			c, err := parseCondition(operator, key, values)
			if err != nil {
				return s, err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return s, nil
}
