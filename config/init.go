package config

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed template_sallyport.yaml
var sallyportTemplate string

//go:embed template_policy.yaml
var policyTemplate string

// PlaceholderRole stands in the example configuration when no role was given.
// 111122223333 is the account that AWS's own documentation uses.
const PlaceholderRole = "arn:aws:iam::111122223333:role/agent-dev"

// Options are what Init asks for.
type Options struct {
	Dir     string // made when missing; "" is the current folder
	RoleARN string // of target dev; "" is PlaceholderRole
	Region  string // of target dev; "" is us-east-1
	Command string // how sallyport is started in a shell; "" is sallyport
}

// Init writes sallyport.yaml and policy.yaml and returns what to do next. When
// one of them is there already it writes nothing and says so.
func Init(o Options) (nextSteps string, err error) {
	if o.Dir == "" {
		o.Dir = "."
	}
	data := struct {
		RoleARN, Region, Account string
		Placeholder              bool
	}{RoleARN: o.RoleARN, Region: o.Region}
	if data.RoleARN == "" {
		data.RoleARN, data.Placeholder = PlaceholderRole, true
	}
	if data.Region == "" {
		data.Region = "us-east-1"
	}
	if why := badRoleARN(data.RoleARN); why != "" {
		return "", errors.New("--role-arn: " + why)
	}
	if p := partitionOf(data.RoleARN); !p.regions.MatchString(data.Region) {
		return "", fmt.Errorf("--region: %q is not a region of partition %s, where the role is; give another region", data.Region, p.id)
	}
	data.Account = arnPart(data.RoleARN, 4)

	var conf bytes.Buffer
	t, err := template.New("sallyport.yaml").Parse(sallyportTemplate)
	if err != nil {
		return "", fmt.Errorf("read the template of sallyport.yaml: %w", err)
	}
	if err := t.Execute(&conf, data); err != nil {
		return "", fmt.Errorf("fill in the template of sallyport.yaml: %w", err)
	}
	if err := writeNew(o.Dir, map[string][]byte{"sallyport.yaml": conf.Bytes(), "policy.yaml": []byte(policyTemplate)}); err != nil {
		return "", err
	}
	return nextStepsText(cmp.Or(o.Command, "sallyport"), o.Dir, data.RoleARN, data.Placeholder), nil
}

// writeNew writes files that must not exist yet, readable by their owner alone.
func writeNew(dir string, files map[string][]byte) error {
	for name := range files {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already and is left as it is; nothing was written. Remove it, or choose another folder with --dir", path)
		} else if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("look for %s: %w", path, err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for name, data := range files {
		// O_EXCL: neither a file nor a link that appeared meanwhile is written through.
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(dir, name), err)
		}
	}
	return nil
}

func nextStepsText(command, dir, role string, placeholder bool) string {
	conf := filepath.Join(dir, "sallyport.yaml")
	flag := ""
	if filepath.Clean(dir) != "." {
		flag = " --config " + conf
	}
	var steps []string
	if placeholder {
		steps = append(steps, "In "+conf+", set targets.dev.role_arn and accounts to a role of yours.\n   It stands at "+role+", which is an example.")
	}
	steps = append(steps,
		`Let the AWS identity that the gateway runs with (the SDK's default chain, or
   aws.base_profile) assume the role. The role's trust policy needs the statement
     {"Effect": "Allow", "Principal": {"AWS": "<the ARN of that identity>"},
      "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"]}
   and in another account, or with the account as the principal, the identity's own
   policy must allow the same two actions on the role.`,
		"Look through "+filepath.Join(dir, "policy.yaml")+": it lets the group ai-agents read, and nothing else.",
		command+" check"+flag,
		command+" serve"+flag,
		"In another terminal: "+command+" run"+flag+" -- aws sts get-caller-identity",
	)
	var b strings.Builder
	b.WriteString("Next:\n")
	for i, s := range steps {
		fmt.Fprintf(&b, "%d. %s\n", i+1, s)
	}
	return b.String()
}
