package launch

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var hostileParent = []string{
	"PATH=/bin", "HOME=/nonexistent", "AWS_REGION=eu-west-1",
	"AWS_ACCESS_KEY_ID=AKIAREALREALREALREAL", "AWS_SECRET_ACCESS_KEY=real", "AWS_SESSION_TOKEN=real",
	"AWS_PROFILE=prod", "AWS_ROLE_ARN=arn", "AWS_WEB_IDENTITY_TOKEN_FILE=/t", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN=real", "AWS_BEARER_TOKEN_BEDROCK=real", "AWS_BEARER_TOKEN_NEWSERVICE=real",
	"AWS_ENDPOINT_URL=http://x", "AWS_ENDPOINT_URL_S3=http://x", "AWS_CONFIG_FILE=/prod", "AWS_SHARED_CREDENTIALS_FILE=/prod",
	"ACTIONS_ID_TOKEN_REQUEST_URL=https://x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=real", "MY_TOKEN=real",
	"NO_PROXY=.amazonaws.com", "no_proxy=*", "NO_PROXY=amazonaws.com", "HTTPS_PROXY=http://elsewhere:1", "SSL_CERT_DIR=/certs",
	"NODE_OPTIONS=--max-old-space-size=4096", "JAVA_TOOL_OPTIONS=-Xmx1g",
}

func testFiles() Files {
	return Files{Root: "/d/root.crt", Bundle: "/d/bundle.crt", TrustStore: "/d/t.p12", NodeHook: "/d/hook.cjs", AWSConfig: "/d/c", AWSCredentials: "/d/k"}
}

func TestEnvironment(t *testing.T) {
	o := Options{ProxyURL: "http://127.0.0.1:4444", Target: "dev", Files: testFiles(), Hide: []string{"MY_TOKEN"}}
	env := Apply(hostileParent, Environment(o, hostileParent))
	for name, want := range map[string]string{
		"PATH": "/bin", "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": placeholderSecret,
		"HTTPS_PROXY": o.ProxyURL, "https_proxy": o.ProxyURL, "HTTP_PROXY": o.ProxyURL, "http_proxy": o.ProxyURL,
		"ALL_PROXY": o.ProxyURL, "all_proxy": o.ProxyURL, "grpc_proxy": o.ProxyURL,
		"NO_PROXY": loopbackOnly, "no_proxy": loopbackOnly,
		"AWS_CA_BUNDLE": "/d/bundle.crt", "REQUESTS_CA_BUNDLE": "/d/bundle.crt", "SSL_CERT_FILE": "/d/bundle.crt",
		"CURL_CA_BUNDLE": "/d/bundle.crt", "GIT_SSL_CAINFO": "/d/bundle.crt", "NODE_EXTRA_CA_CERTS": "/d/root.crt",
		"AWS_CONFIG_FILE": "/d/c", "AWS_SHARED_CREDENTIALS_FILE": "/d/k",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
		"NODE_OPTIONS": "--max-old-space-size=4096 --require /d/hook.cjs",
		"JAVA_TOOL_OPTIONS": "-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4444 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4444 " +
			"-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1] -Djavax.net.ssl.trustStore=/d/t.p12 -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12",
	} {
		if got := lookup(env, name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	all := strings.Join(env, "\n")
	for _, gone := range []string{"real", "prod", "REAL", "http://x", "https://x", "elsewhere", "amazonaws", "/certs", "AWS_PROFILE", "SSL_CERT_DIR"} {
		if strings.Contains(all, gone) {
			t.Errorf("%q is still there:\n%s", gone, all)
		}
	}
	seen := map[string]bool{}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
	if again := Apply(env, Environment(o, env)); !slices.Equal(sorted(again), sorted(env)) {
		t.Errorf("a run inside a run changes the environment:\n%q\n%q", env, again)
	}
	if got := lookup(Apply(nil, Environment(Options{}, nil)), "AWS_ACCESS_KEY_ID"); got != DefaultTarget {
		t.Errorf("without a target: %q", got)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestRegion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	text := "[default]\nregion = us-east-1\n[profile dev]\noutput=json\nregion=eu-central-1\n[ profile  other ]\nregion = ap-south-1\n[sso-session dev]\nregion = none\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want   string
		parent []string
	}{
		{"a", []string{"AWS_REGION=a", "AWS_DEFAULT_REGION=b"}},
		{"b", []string{"AWS_DEFAULT_REGION=b", "AWS_CONFIG_FILE=" + file}},
		{"us-east-1", []string{"AWS_CONFIG_FILE=" + file}},
		{"us-east-1", []string{"AWS_CONFIG_FILE=" + file, "AWS_PROFILE=default"}},
		{"eu-central-1", []string{"AWS_CONFIG_FILE=" + file, "AWS_PROFILE=dev"}},
		{"ap-south-1", []string{"AWS_CONFIG_FILE=" + file, "AWS_DEFAULT_PROFILE=other"}},
		{"", []string{"AWS_CONFIG_FILE=" + file, "AWS_PROFILE=unknown"}},
		{"", nil},
		{"", []string{"HOME=/nonexistent"}},
	} {
		if got := Region(c.parent); got != c.want {
			t.Errorf("%q: %q, want %q", c.parent, got, c.want)
		}
	}
}

// Shells that evaluate what Render wrote have exactly the values, and ran nothing.
func TestRenderIsEvaluatedExactly(t *testing.T) {
	nasty := []string{
		"plain", "", "a b", "it's", `"quoted"`, `back\slash`, `\'`, "$HOME", "$(touch x)", "`touch x`", "new\nline", "a;b", "é\u202e", "-n", "!history", "*", "~", "'; touch x; '", "%s\\n",
	}
	var vars []Var
	for i, v := range nasty {
		vars = append(vars, Var{Name: "V" + string(rune('A'+i)), Value: v})
	}
	vars = append(vars, Var{Name: "GONE", Unset: true})
	for _, shell := range []string{"sh", "bash", "zsh", "fish"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed: not tried", shell)
			continue
		}
		syntax := "sh"
		if shell == "fish" {
			syntax = "fish"
		}
		var script bytes.Buffer
		if err := Render(&script, syntax, vars); err != nil {
			t.Fatal(err)
		}
		script.WriteString("env -0\n")
		cmd := exec.Command(path, "-c", script.String())
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"GONE=still here", "PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", shell, err, out)
		}
		env := strings.Split(string(out), "\x00")
		for _, v := range vars {
			if !v.Unset && !slices.Contains(env, v.Name+"="+v.Value) {
				t.Errorf("%s: %s is not %q", shell, v.Name, v.Value)
			}
		}
		if strings.Contains(string(out), "still here") {
			t.Errorf("%s: GONE was not removed", shell)
		}
		if _, err := os.Stat(filepath.Join(cmd.Dir, "x")); err == nil {
			t.Errorf("%s ran a value as a command", shell)
		}
	}
}

func TestRender(t *testing.T) {
	vars := []Var{{Name: "A", Value: `it's \ "x"`}, {Name: "B", Unset: true}}
	for shell, want := range map[string]string{
		"sh":   "export A='it'\\''s \\ \"x\"'\nunset B\n",
		"fish": "set -gx A 'it\\'s \\\\ \"x\"'\nset -e B\n",
	} {
		var b bytes.Buffer
		if err := Render(&b, shell, vars); err != nil || b.String() != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", shell, err, b.String(), want)
		}
	}
	var b bytes.Buffer
	var m map[string]*string
	if err := Render(&b, "json", vars); err != nil || json.Unmarshal(b.Bytes(), &m) != nil || *m["A"] != vars[0].Value || m["B"] != nil || len(m) != 2 {
		t.Errorf("json: %v %s", err, b.String())
	}
	for name, bad := range map[string][]Var{
		"NUL":           {{Name: "A", Value: "a\x00b"}},
		"name injected": {{Name: "AWS_ENDPOINT_URL_;touch x", Unset: true}},
		"name empty":    {{}},
		"name digit":    {{Name: "1A"}},
	} {
		b.Reset()
		if err := Render(&b, "sh", bad); err == nil || b.Len() > 0 {
			t.Errorf("%s: %v %q", name, err, b.String())
		}
	}
	if err := Render(&b, "powershell", nil); err == nil {
		t.Error("an unknown shell was accepted")
	}
}
