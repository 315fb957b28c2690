// Package internal_test holds the rules about who may import whom. They are part
// of the design (docs/request-walk.md): imports point one way, pure packages stay
// pure, and few packages can reach NATS or STS.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport/"

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Deps", module+"...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	pkgs := map[string]pkg{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
}

func ours(name string) string { return module + name }

// Imports that no package may have directly, but for those named.
func TestOnlySomeMayImport(t *testing.T) {
	pkgs := list(t)
	only := map[string][]string{
		"github.com/nats-io/nats.go":                          {"recorder", "approvals", "revocation", "internal/bus", "examples/recorder", "examples/approver"},
		"github.com/nats-io/nats-server/v2":                   {"internal/bus"},
		"github.com/aws/aws-sdk-go-v2/service/sts":            {"jit"},
		"github.com/aws/aws-sdk-go-v2/aws/signer/v4":          {"jit"},
		"github.com/aws/smithy-go/aws-http-auth":              {"jit"},
		"github.com/elazarl/goproxy":                          {"mitm"},
		"github.com/slack-go/slack":                           {"approvals/slack"},
		"github.com/standard-webhooks/standard-webhooks":      {"approvals/webhook"},
		"github.com/coreos/go-oidc/v3/oidc":                   {"identity"},
		"github.com/transparency-dev/tessera":                 {"recorder"},
		ours("internal/awstest"):                              {"internal/demo"},
		ours("gateway"):                                       {"internal/server"},
		"github.com/aws/aws-sdk-go-v2/service/s3":             {"internal/demo", "recorder/archive"},
		"github.com/aws/aws-sdk-go-v2/service/dynamodb":       {"internal/demo"},
		"github.com/aws/aws-sdk-go-v2/service/secretsmanager": {"internal/demo"},
	}
	for path, p := range pkgs {
		name, ok := strings.CutPrefix(path, module)
		if !ok {
			continue
		}
		for _, imported := range p.Imports {
			for forbidden, allowed := range only {
				if (imported == forbidden || strings.HasPrefix(imported, forbidden+"/")) && !slices.Contains(allowed, name) {
					t.Errorf("%s imports %s, which only %v may", name, imported, allowed)
				}
			}
		}
	}
}

// Packages that do no I/O: nothing that opens a file or a socket below them,
// neither directly nor through another package of ours.
func TestPurePackages(t *testing.T) {
	pkgs := list(t)
	for _, name := range []string{"awsapi", "awsapi/catalog", "internal/awschunked", "mask", "mask/detect", "event", "refusal", "enrich"} {
		p, ok := pkgs[ours(name)]
		if !ok {
			t.Errorf("there is no package %s", name)
			continue
		}
		for _, dep := range append([]string{ours(name)}, p.Deps...) {
			if !strings.HasPrefix(dep, module) {
				continue
			}
			for _, forbidden := range []string{"os", "os/exec", "net", "database/sql", "syscall"} {
				if slices.Contains(pkgs[dep].Imports, forbidden) {
					t.Errorf("%s must do no I/O, but %s imports %s", name, dep, forbidden)
				}
			}
		}
	}
}

// What a package must not know, directly or through others.
func TestMustNotKnow(t *testing.T) {
	pkgs := list(t)
	rules := map[string][]string{
		"mitm":       {ours("awsapi"), ours("policy"), ours("jit"), ours("identity"), "github.com/aws/"},
		"ca":         {ours("awsapi"), ours("policy"), ours("jit"), ours("identity"), "github.com/aws/"},
		"awsapi":     {ours("policy"), ours("jit"), ours("gateway"), "github.com/aws/"},
		"policy":     {ours("jit"), ours("gateway"), ours("identity"), "github.com/aws/"},
		"mask":       {ours("jit"), ours("gateway"), ours("identity"), "github.com/aws/"},
		"event":      {ours("jit"), ours("gateway"), ours("identity"), ours("awsapi"), "github.com/aws/"},
		"recorder":   {ours("jit"), ours("gateway"), ours("identity"), ours("policy"), "github.com/aws/"},
		"identity":   {ours("jit"), ours("gateway"), ours("awsapi"), ours("policy"), "github.com/aws/"},
		"jit":        {ours("gateway"), ours("policy"), ours("identity"), ours("recorder")},
		"approvals":  {ours("jit"), ours("gateway")},
		"revocation": {ours("jit"), ours("gateway"), ours("policy"), ours("awsapi"), "github.com/aws/"},
		"enrich":     {ours("jit"), ours("gateway"), ours("policy"), ours("identity"), "github.com/aws/"},
		"launch":     {ours("jit"), ours("gateway"), ours("policy"), ours("awsapi")},

		"recorder/archive": {ours("jit"), ours("gateway"), ours("identity"), ours("policy")},
	}
	// AWS's own reader of event stream framing knows neither requests nor keys; mask
	// reads with it what the SDKs read.
	framing := []string{"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream", "github.com/aws/smithy-go/logging"}
	for name, forbidden := range rules {
		p, ok := pkgs[ours(name)]
		if !ok {
			t.Errorf("there is no package %s", name)
			continue
		}
		for _, dep := range p.Deps {
			if (name == "mask" || name == "policy") && slices.Contains(framing, dep) {
				continue
			}
			for _, f := range forbidden {
				if dep == f || strings.HasPrefix(dep, strings.TrimSuffix(f, "/")+"/") {
					t.Errorf("%s must not know %s, but depends on %s", name, f, dep)
				}
			}
		}
	}
}
