package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/policy"
)

func size(n strictyaml.Size) *strictyaml.Size { return &n }

// Of several rules the one that records more holds, and one that says nothing is the
// configuration's.
func TestRecordOfSeveralRules(t *testing.T) {
	call := &awsapi.Call{Service: "s3", Operation: "GetObject",
		Actions: []awsapi.Action{{Name: "s3:GetObject", Level: awsapi.Read, Resources: []awsapi.Resource{{ARN: "arn:aws:s3:::b/k"}}}}}
	def := policy.Record{Bodies: policy.BodiesFull, BodyLimit: size(8 << 20)}
	digest := policy.Record{Bodies: policy.BodiesDigest, BodyLimit: size(1 << 20)}
	for _, c := range []struct {
		rules []string // the record of each, "" for none
		def   policy.Record
		want  policy.Bodies
		limit strictyaml.Size
	}{
		{[]string{""}, def, "full", 8 << 20},
		{[]string{""}, digest, "digest", 1 << 20},
		{[]string{"{bodies: digest}"}, def, "digest", 8 << 20},
		{[]string{"{bodies: digest}", ""}, def, "full", 8 << 20},
		{[]string{"{bodies: digest}", ""}, digest, "digest", 1 << 20},
		{[]string{"{bodies: digest}", "{bodies: full}"}, digest, "full", 1 << 20},
		{[]string{"{body_limit: 64KiB}"}, def, "full", 64 << 10},
		{[]string{"{body_limit: 64KiB}", "{body_limit: 1MiB}"}, def, "full", 1 << 20},
		{[]string{"{body_limit: 1MiB}", "{body_limit: 64KiB}"}, def, "full", 1 << 20},
		{[]string{"{body_limit: 64KiB}", ""}, def, "full", 8 << 20},
		{[]string{"{body_limit: 0}", "{body_limit: 64KiB}"}, def, "full", 0},
		{[]string{"{body_limit: 64KiB}", "{body_limit: 0}"}, def, "full", 0},
	} {
		text := "rules:\n"
		for i, r := range c.rules {
			text += fmt.Sprintf("  - {name: r%d, who: {subjects: [\"*\"]}, targets: [\"*\"], actions: [\"s3:*\"], effect: allow", i)
			if r != "" {
				text += ", record: " + r
			}
			text += "}\n"
		}
		e, err := policy.Parse([]policy.File{{Name: "p", Data: []byte(text)}})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		d := e.Decide(policy.Input{Subject: "s", Target: "t", Call: call})
		if got := d.RecordOr(c.def); d.Effect != policy.Allow || got.Bodies != c.want || *got.BodyLimit != c.limit {
			t.Errorf("%s: %s %s %v, want %s %s", c.rules, d.Effect, got.Bodies, got.BodyLimit, c.want, c.limit)
		}
	}
}

func TestRecordIsChecked(t *testing.T) {
	for record, want := range map[string]string{
		"effect: allow, record: {bodies: some}":     "write full",
		"effect: allow, record: {body_limit: much}": "expected a size",
		"effect: allow, record: {body: full}":       "bodies",
		"effect: deny, record: {bodies: full}":      "no meaning",
	} {
		_, err := policy.Parse([]policy.File{{Name: "p", Data: []byte(`rules:
  - {name: r, who: {subjects: ["*"]}, targets: ["*"], actions: ["s3:*"], ` + record + `}
`)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", record, err)
		}
	}
}
