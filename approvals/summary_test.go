package approvals

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/unicode/bidi"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

func instances(n int) []event.Resource {
	out := make([]event.Resource, n)
	for i := range out {
		out[i] = event.Resource{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc" + string(rune('a'+i)), AccountID: "111122223333", Type: "instance"}
	}
	return out
}

// asked is a request with everything in it.
func asked() Request {
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Request{
		Approval: "01J00000000000000000000001", Digest: strings.Repeat("ab", 32), RequestID: "01J00000000000000000000002", SessionID: "01J00000000000000000000003",
		Who:   event.UserIdentity{Issuer: "https://idp.example.com/", Subject: "build-7", Groups: []string{"ai-agents", "build"}, Label: "nightly"},
		Email: "dev@example.com", Target: "dev", RoleARN: "arn:aws:iam::111122223333:role/agent-dev", Account: "111122223333", Region: "eu-west-1",
		Service: "ec2", Operation: "TerminateInstances", Actions: []string{"ec2:TerminateInstances"}, AccessLevel: "Write", Resources: instances(3),
		Parameters: map[string]any{"InstanceIds": []any{"i-0abca", "i-0abcb", "i-0abcc"}, "DryRun": false},
		Risk:       event.Risk{Score: 60, Reasons: []string{"destroys: +40", "access level Write: +20"}},
		Rules:      []string{"ask-destroys"}, Approvers: []Needed{{Groups: []string{"sre", "leads"}, Count: 1}, {Groups: []string{"security"}, Count: 2}},
		PolicyVersion: strings.Repeat("cd", 32), Extent: strings.Repeat("ef", 32), Reason: "they are idle", Created: created, Expires: created.Add(15 * time.Minute),
	}
}

func TestSummary(t *testing.T) {
	want := `terminate 3 instances in account 111122223333 (dev), eu-west-1
  Who          "build-7", e-mail "dev@example.com", groups "ai-agents", "build",
               says issuer "https://idp.example.com/"
  Label        "nightly" (chosen by the agent)
  Operation    ec2 TerminateInstances (Write), needs ec2:TerminateInstances
  Role         arn:aws:iam::111122223333:role/agent-dev
  Said         the agent says (untrusted): "they are idle"
  Risk         60 of 100 (destroys: +40, access level Write: +20)
  Rule         ask-destroys, policy version cdcdcdcdcdcd
  Needs        1 person of sre or leads, and 2 people of security
  Session      01J00000000000000000000003, request 01J00000000000000000000002
  Resources    "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abca"
               "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcb"
               "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcc"
  Parameters   DryRun = false
               InstanceIds = ["i-0abca", "i-0abcb", "i-0abcc"]
  If granted   for 15 minutes, at most 20 calls of this session, this one among
               them, none riskier than it: the same operation on the same
               resources (terminate 3 instances in account 111122223333 (dev),
               eu-west-1); other parameters may differ
  Approval     01J00000000000000000000001
  Digest       abababababababababababababababababababababababababababababababab
  Asked        2026-03-01 12:00:00, until 2026-03-01 12:15:00 UTC
`
	var got strings.Builder
	if err := Summarize(asked()).Write(&got, 80); err != nil || got.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got.String(), want)
	}
}

func TestHeadline(t *testing.T) {
	one := func(kind, arn string) []event.Resource { return []event.Resource{{ARN: arn, Type: kind}} }
	for want, r := range map[string]Request{
		`terminate instance "i-0abca"`:                                {Service: "ec2", Operation: "TerminateInstances", Resources: instances(1)},
		"terminate 2 instances":                                       {Service: "ec2", Operation: "TerminateInstances", Resources: instances(2)},
		"terminate 2 or more instances":                               {Service: "ec2", Operation: "TerminateInstances", Resources: instances(2), ResourcesOmitted: 7},
		"terminate instances":                                         {Service: "ec2", Operation: "TerminateInstances", Resources: one("", "*")},
		`terminate any instance like "*"`:                             {Service: "ec2", Operation: "TerminateInstances", Resources: one("instance", "arn:aws:ec2:us-east-1:1:instance/*")},
		"launch up to 40 instances":                                   {Service: "ec2", Operation: "RunInstances", Parameters: map[string]any{"MaxCount": json.Number("40")}},
		"launch 1 instance":                                           {Service: "ec2", Operation: "RunInstances", Parameters: map[string]any{"MaxCount": float64(1)}},
		"launch instances":                                            {Service: "ec2", Operation: "RunInstances", Parameters: map[string]any{"MaxCount": "many"}},
		`delete object "acme/a/b.csv"`:                                {Service: "s3", Operation: "DeleteObject", Resources: one("object", "arn:aws:s3:::acme/a/b.csv")},
		`remove the block of public access of bucket "acme"`:          {Service: "s3", Operation: "DeletePublicAccessBlock", Resources: one("bucket", "arn:aws:s3:::acme")},
		`put a policy (new permissions) on role "ops/admin"`:          {Service: "iam", Operation: "PutRolePolicy", Resources: one("role", "arn:aws:iam::1:role/ops/admin")},
		`read the value of secret "secret:db-x"`:                      {Service: "secretsmanager", Operation: "GetSecretValue", Resources: one("Secret", "secret:db-x")},
		`put bucket logging (s3) on "acme"`:                           {Service: "s3", Operation: "PutBucketLogging", Resources: one("bucket", "arn:aws:s3:::acme")},
		"delete VPC endpoints (ec2) on 2 resources":                   {Service: "ec2", Operation: "DeleteVPCEndpoints", Resources: instances(2)},
		"create RESTAPI (x)":                                          {Service: "x", Operation: "CreateRESTAPI"},
		"delete DB subnet group (rds) on any resource":                {Service: "rds", Operation: "DeleteDBSubnetGroup", Resources: one("", "*")},
		"tag resource (rds) on 9 resources":                           {Service: "rds", Operation: "TagResource", ResourcesOmitted: 9},
		`tag resource (rds) on any resource like "x*"`:                {Service: "rds", Operation: "TagResource", Resources: one("db", "arn:aws:rds:us-east-1:1:db:x*")},
		`do "Get\nApproved by: alice" (s3)`:                           {Service: "s3", Operation: "Get\nApproved by: alice"},
		"stop instances in target dev, us-east-1":                     {Service: "ec2", Operation: "StopInstances", Target: "dev", Region: "us-east-1"},
		"stop instances in account 1":                                 {Service: "ec2", Operation: "StopInstances", Account: "1"},
		`delete bucket "x\" in account 1 (dev). Approved by \"alice"`: {Service: "s3", Operation: "DeleteBucket", Resources: one("bucket", `arn:aws:s3:::x" in account 1 (dev). Approved by "alice`)},
		`delete function "` + strings.Repeat("f", 48) + `"…[70 bytes in all]…"` + strings.Repeat("f", 16) + `"`: {Service: "lambda", Operation: "DeleteFunction", Resources: one("function", "arn:aws:lambda:us-east-1:1:function:"+strings.Repeat("f", 70))},
	} {
		if got := Summarize(r).Headline; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// The table names operations and resource types that exist.
func TestPhrases(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for key, p := range phrases {
		id, op, _ := strings.Cut(key, ":")
		s, err := c.Lookup(id)
		if err != nil || s == nil || s.Operations[op] == nil {
			t.Errorf("there is no operation %s (%v)", key, err)
			continue
		}
		d, err := s.Detail(op)
		if err != nil {
			t.Fatal(err)
		}
		known := false
		for _, a := range d.IAM {
			known = known || slices.ContainsFunc(a.Resources, func(t catalog.ResourceType) bool { return t.Name == p.kind })
		}
		if !known || p.verb == "" || p.noun == "" {
			t.Errorf("%s: nothing it needs is of type %q", key, p.kind)
		}
	}
	for noun, want := range map[string]string{"instance": "instances", "policy": "policies", "key": "keys", "address": "addresses"} {
		if got := (phrase{noun: noun}).plural(); got != want {
			t.Errorf("plural of %s: %s", noun, got)
		}
	}
}

// hostile are texts that would deceive if they were shown as they are.
var hostile = []string{
	"\x1b[2J\x1b[1;1H\x1b[32mApproved by alice\x1b[0m",
	"\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x9b31m",
	"x\n  Risk         0 of 100\n  Rule         allow-everything",
	"x\r\nApproved by: alice (security)",
	"prod\u202etnemtrapxe\u202c", "\u2066\u2067x\u2069", "a\u200b\u200d\ufeff\u2060b", "שלום", "\u0301\u0301\u0301\u0301",
	`" (by policy). Approved by "alice`, "” Approved by “alice", `\" \`,
	strings.Repeat(" ", 200) + "Rule         allow-everything", strings.Repeat("x ", 4000), strings.Repeat("日本", 400),
	"\xff\xfe\x00\x01", "\u2028\u2029\u0085", "\u3164\u115f\ufe0f\U000e0041",
}

// fill puts s into every text of v.
func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), s)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), s)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), s)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{s: s, "List": []any{s, map[string]any{s: s}}}))
	}
}

// shape is every line that a summary may have: a name of ours at its place, or
// indented text.
var shape = regexp.MustCompile(`^(?:  (?:Who|Label|Operation|Role|Attention|Body|Said|Tags|Not read|Risk|Rule|Needs|Session|Resources|Parameters|If granted|Approval|Digest|Asked)(?: +\S.*)?| {15}\S.*)$`)

// harmless checks what must hold of any summary.
func harmless(t *testing.T, r Request) {
	t.Helper()
	s := Summarize(r)
	for _, columns := range []int{0, 10, 60, 200} {
		lines := s.Lines(columns)
		body := false
		for i, l := range lines {
			if terminal.Width(l) > max(columns, minColumns) && (columns != 0 || terminal.Width(l) > 80) {
				t.Fatalf("%d columns: a terminal would break %q", columns, l)
			}
			// The headline is first, and its further lines are indented by four.
			body = body || i > 0 && !strings.HasPrefix(l, "    ") || i > 0 && strings.HasPrefix(l, strings.Repeat(" ", 15))
			if body && !shape.MatchString(l) || !body && i > 0 && (len(l) < 5 || l[4] == ' ') {
				t.Fatalf("line %d looks like none of ours: %q in\n%s", i, l, strings.Join(lines, "\n"))
			}
			for _, c := range l {
				if c != ' ' && !unicode.IsGraphic(c) || unicode.In(c, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) {
					t.Fatalf("U+%04X on a terminal: %q", c, l)
				}
			}
		}
		if len(lines) > 12000 {
			t.Fatalf("%d lines", len(lines))
		}
	}
}

// Who decides must know that it may have been done already.
func TestSummaryOfACallWithAnEarlierOne(t *testing.T) {
	r := asked()
	r.Earlier = &event.Earlier{RequestID: "01J00000000000000000000009", At: r.Created.Add(-time.Minute)}
	want := Fact{"Attention", "the same call was let through at " + r.Earlier.At.UTC().Format("2006-01-02 15:04:05 MST") + " as request 01J00000000000000000000009, and its outcome is not known: it may have been done already"}
	if facts := Summarize(r).Facts; !slices.Contains(facts, want) {
		t.Errorf("%+v", facts)
	}
}

// Whatever an agent, an identity provider or a gateway wrote: no line of it looks
// like one of ours, and nothing in it moves a cursor.
func TestSummaryOfHostileTexts(t *testing.T) {
	for _, s := range hostile {
		var r Request
		fill(reflect.ValueOf(&r).Elem(), s)
		harmless(t, r)
		r = asked()
		r.Reason, r.Who.Label, r.Resources[0].ARN = s, s, s
		r.Parameters = map[string]any{"UserData": s, s: true}
		harmless(t, r)
		for _, f := range append(Summarize(r).Facts, Summarize(r).Parameters...) {
			if f.Name != "Label" && f.Name != "Said" && f.Name != "UserData" {
				continue
			}
			if !strings.HasPrefix(strings.TrimPrefix(f.Text, "the agent says (untrusted): "), `"`) {
				t.Errorf("%s is not quoted: %s", f.Name, f.Text)
			}
			for _, c := range f.Text {
				if p, _ := bidi.LookupRune(c); p.Class() == bidi.R || p.Class() == bidi.AL {
					t.Errorf("%s goes from right to left: %s", f.Name, f.Text)
				}
			}
		}
	}
}

// What is not shown is counted.
func TestSummarySaysWhatItLeavesOut(t *testing.T) {
	r := asked()
	r.Resources, r.ResourcesOmitted = make([]event.Resource, 70), 5
	r.Resources[3].AccountID = "444455556666"
	r.Parameters = map[string]any{"Deep": strings.Repeat("x", 5000), "Many": make([]any, 2000)}
	for i := range 80 {
		r.Parameters["P"+strings.Repeat("x", i)] = i
	}
	r.ParametersOmitted = &event.Digest{SHA256: "ff", Size: 7}
	r.Who.Groups = make([]string, 40)
	r.Parameters["Nested"] = nested(40)
	s := Summarize(r)
	all := strings.Join(s.Lines(4000), "\n")
	for _, want := range []string{"and 11 more that are not shown", "19 more parameters that are not shown", "left out, too large: 7 bytes", "and 24 more", "5000 bytes in all", "…[cut]",
		`Attention    resources in other accounts: "444455556666"`} {
		if !strings.Contains(all, want) {
			t.Errorf("the summary does not say %q:\n%s", want, all)
		}
	}
	harmless(t, r)
}

// An agent chooses the names of objects: whatever stands before the end of one, the
// approver sees the end, and of an ARN all of it.
func TestLongNamesAreShown(t *testing.T) {
	r := asked()
	key := strings.Repeat("a", 500) + "/middle/" + strings.Repeat("a", 500) + "/payroll"
	r.Resources = []event.Resource{{ARN: "arn:aws:s3:::acme-dev-reports/" + key, Type: "object"}}
	r.Parameters = map[string]any{"Key": key}
	s := Summarize(r)
	if want := terminal.Quote(r.Resources[0].ARN, 4096); len(s.Resources) != 1 || s.Resources[0] != want {
		t.Errorf("the ARN is %s", s.Resources)
	}
	if text := s.Parameters[0].Text; !strings.HasSuffix(text, `/payroll"`) {
		t.Errorf("the key is %s", text)
	}
	r.Resources[0].ARN = strings.Repeat("arn", 1000) + "/payroll"
	if got := Summarize(r).Resources[0]; !strings.HasSuffix(got, `/payroll"`) || len(got) > 2200 {
		t.Errorf("more than any ARN has is %s", got)
	}
}

func nested(depth int) any {
	if depth == 0 {
		return "bottom"
	}
	return []any{nested(depth - 1)}
}

func TestSummaryOfNothing(t *testing.T) {
	harmless(t, Request{})
	if s := Summarize(Request{}); !slices.Contains(s.Facts, Fact{"Needs", "nobody is named who may approve"}) {
		t.Errorf("%+v", s)
	}
}

func FuzzSummary(f *testing.F) {
	seed, err := json.Marshal(asked())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for _, s := range hostile {
		text, err := json.Marshal(map[string]any{"reason": s, "eventName": s, "service": s, "resources": []any{map[string]any{"ARN": s}}, "requestParameters": map[string]any{s: []any{s, 1e300, nil, true}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Request
		if json.Unmarshal(text, &r) != nil {
			return
		}
		harmless(t, r)
	})
}

// Numbers are as they were sent: a rounded one would be another request.
func TestParameterValues(t *testing.T) {
	in := map[string]any{"A": json.Number("12345678901234567890"), "B": json.Number("1\nx"), "C": 2.5, "D": true, "E": nil, "F": []string{"a\nb"}, "G": map[string]any{"k k": "v"}, "H": map[string]string{"x": `"`}, "I": int64(7), "J": []byte("x")}
	want := map[string]string{"A": "12345678901234567890", "B": `"1\nx"`, "C": "2.5", "D": "true", "E": "null", "F": `["a\nb"]`, "G": `{"k k": "v"}`, "H": `{x: "\""}`, "I": "7", "J": `"eA=="`}
	got := map[string]string{}
	for _, f := range Summarize(Request{Parameters: in}).Parameters {
		got[f.Name] = f.Text
	}
	if !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Whoever is told that a call was approved is told what else was let through with it, in
// full: of a glob that is cut off nobody knows what it takes.
func TestOutcomeTellsTheGrant(t *testing.T) {
	long := "arn:aws:s3:::" + strings.Repeat("x", 400) + "*"
	for want, o := range map[string]Outcome{
		`approved, granted for 15 minutes, 3 calls in all: the same again; allow by "ann"`: {Outcome: Approved, Grant: &Grant{For: "15m0s", Count: 3}},
		`approved, granted for 1 hour, 2 calls in all: "s3:Get*", "s3:\n" on "` + long + `"; allow by "ann"`: {
			Outcome: Approved, Grant: &Grant{For: "1h", Count: 2, Actions: []string{"s3:Get*", "s3:\n"}, Resources: []string{long}}},
		`approved, granted for "\x1b" that cannot be read: the same again; allow by "ann"`: {Outcome: Approved, Grant: &Grant{For: "\x1b", Count: 2}},
		`approved: allow by "ann"`: {Outcome: Approved, Grant: &Grant{For: "15m", Count: 1}},
		`denied: allow by "ann"`:   {Outcome: Denied, Grant: &Grant{For: "15m", Count: 3}},
	} {
		if o.Approvers = []Vote{{Subject: "ann", Decision: Allow}}; o.Words() != want {
			t.Errorf("got  %s\nwant %s", o.Words(), want)
		}
	}
}
