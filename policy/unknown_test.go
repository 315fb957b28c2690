package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

func catalogued(t *testing.T) *awsapi.Identifier {
	t.Helper()
	ids, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// What can match nothing is said with its place, its rule and what was meant, whatever
// the rule does; what matches something is not, however it is written.
func TestUnknown(t *testing.T) {
	all := []struct{ text, want string }{
		{`actions: ["s3:DeletObject"]`, `the action "s3:DeletObject" matches none that an AWS operation needs, as far as the catalog knows, so it has no effect; did you mean s3:DeleteObject?`},
		{`actions: ["s3:*", "s33:*"]`, `the action "s33:*" matches none that an AWS operation needs, as far as the catalog knows, so it has no effect; did you mean s3:*?`},
		{`actions: ["S33:DeletObject"]`, `did you mean s3:DeleteObject?`},
		{`actions: ["ec2:Terminat*X"]`, `so it has no effect`},
		{`actions: ["ec2:Teminate*"]`, `did you mean ec2:Terminate*?`},
		{`actions: ["*:Delte*"]`, `did you mean *:Delete*?`},
		{`actions: ["nosuchservice:*"]`, `so it has no effect`},
		{`actions: ["s3:ListObjectsV2"]`, `the operation of that name needs s3:ListBucket`},
		{`actions: ["*"], resources: ["*", "arn:aws:s4:::acme"]`, `the resource "arn:aws:s4:::acme" matches nothing: no service in ARNs is "s4", as far as the catalog knows; did you mean s3?`},
		{`actions: ["*"], resources: ["arn:aws:S3:::acme"]`, `did you mean s3?`},
		{`actions: ["*"], resources: ["arn:aws:nosuchservice:::acme"]`, `no service in ARNs is "nosuchservice"`},
		{`actions: ["*"], resources: ["arn:aw:s3:::acme"]`, `no partition in ARNs is "aw", as far as the catalog knows; did you mean aws?`},

		{`actions: ["*", "s3:*", "*:*", "*:Delete*", "iam:PassRole", "s3:Get*", "S3:getOBJECT", "s?:GetObject", "ec2:Terminate*"]`, ""},
		{`actions: ["s3:GetObjectVersion", "s3:PutObjectTagging", "s3-object-lambda:GetObject", "s3-outposts:PutObject", "s3express:*"]`, ""},
		{`actions: ["sts:GetCallerIdentity", "elasticloadbalancing:*", "ec2:CreateTags", "mediaimport:*", "kms:Decrypt"]`, ""},
		{`actions: ["*"], resources: ["*", "arn:*", "arn:aws:s3:::x", "arn:aws*:*:*:*:*", "arn:aws-cn:s?:::x", "arn:aws:catalog:::x/y"]`, ""},
		{`actions: ["*"], resources: ["arn:aws:elasticfilesystem:*:*:*", "arn:aws-us-gov:execute-api:*:*:*", "arn:aws:s3express:*:*:b/*"]`, ""},
	}
	effects := []string{"deny", "allow", "ask, approvers: {groups: [sre]}"}
	var rules strings.Builder
	for i, x := range all {
		for j, effect := range effects {
			rules.WriteString(rule(fmt.Sprintf("r%d-%d", i, j), effect, x.text))
		}
	}
	problems, err := engine(t, rules.String()).Unknown(catalogued(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range all {
		for j, effect := range effects {
			var got []string
			for _, p := range problems {
				if p.Path == fmt.Sprintf("rule r%d-%d", i, j) {
					got = append(got, p.Message)
				}
				if p.File != "p.yaml" || p.Line < 2 || p.Column < 60 {
					t.Errorf("where is %s?", p)
				}
			}
			if x.want == "" && len(got) == 0 {
				continue
			}
			if x.want == "" || len(got) != 1 || !strings.HasSuffix(got[0], x.want) && !strings.Contains(got[0], x.want+", as far as") {
				t.Errorf("%s, %s:\n got %q\nwant %q", x.text, effect, got, x.want)
			}
		}
	}
	var none *Engine
	if got, err := none.Unknown(nil); err != nil || len(got) > 0 {
		t.Errorf("no policy: %v, %v", got, err)
	}
}

// Nothing that we show as a policy warns.
func TestExamplesAreKnown(t *testing.T) {
	var files []File
	for _, pattern := range []string{"../examples/policy/*.yaml", "../config/template_policy.yaml", "../e2e/testdata/*.yaml", "testdata/good.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s (%v)", pattern, err)
		}
		for _, name := range found {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), "\nrules:") || strings.HasPrefix(string(data), "rules:") {
				files = append(files, File{name, data})
			}
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	shown := 0
	for _, name := range append(pages, "../README.md") {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(page), -1) {
			if regexp.MustCompile(`(?m)^rules:`).MatchString(m[1]) {
				files, shown = append(files, File{name, []byte(m[1])}), shown+1
			}
		}
	}
	if shown < 2 {
		t.Errorf("%d policies in the documentation", shown)
	}
	ids := catalogued(t)
	for _, f := range files {
		e, problems := parse([]File{f})
		if len(problems) > 0 {
			t.Errorf("%s: %v", f.Name, problems)
			continue
		}
		if got, err := e.Unknown(ids); err != nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", f.Name, got, err)
		}
	}
}
