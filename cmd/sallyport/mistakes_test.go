package main

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// Without a configuration every command that needs one says how to get it.
func TestNoConfiguration(t *testing.T) {
	newUser(t)
	for _, args := range []string{
		"check", "serve", "token", "env", "run -- true", "ca show", "ca bundle",
		"sessions list", "sessions show", "sessions tail", "policy explain --action s3:GetObject",
	} {
		r := do(t, strings.Fields(args)...)
		if r.code != exitFailed || !strings.Contains(r.stderr, "`sallyport init` writes one, --config names another") || r.stdout != "" {
			t.Errorf("%s: %+v", args, r)
		}
		clean(t, r)
	}
	// On a machine without a gateway the flags say what there is to say.
	if r := do(t, "run", "--gateway", "http://127.0.0.1:3128", "--", "true"); !strings.Contains(r.stderr, "give --gateway, --ca-file and where tokens come from") {
		t.Errorf("%+v", r)
	}
}

// A configuration that lies where a command is started, and that somebody else could
// write, would have tokens sent wherever it says.
func TestSomebodyElsesConfiguration(t *testing.T) {
	newUser(t)
	must(t, "init")
	spoil := map[string]func() error{"changed by every user": func() error { return os.Chmod("sallyport.yaml", 0o666) }}
	if os.Getuid() == 0 { // who else can give a file away
		spoil["belongs to another user"] = func() error { return os.Chown("sallyport.yaml", 12345, -1) }
	}
	for want, f := range spoil {
		if err := f(); err != nil {
			t.Fatal(err)
		}
		for _, args := range []string{"run -- true", "env", "approvals list", "revoke --subject bob --reason x"} {
			if r := do(t, strings.Fields(args)...); r.code != exitFailed || !strings.Contains(r.stderr, want) {
				t.Errorf("%s: %+v", args, r)
			}
			named := strings.Fields(args)
			at := len(named)
			if i := slices.Index(named, "--"); i >= 0 {
				at = i
			}
			if r := do(t, slices.Insert(named, at, "--config", "sallyport.yaml")...); strings.Contains(r.stderr, want) {
				t.Errorf("%s: %+v", args, r)
			}
		}
		if err := errors.Join(os.Chmod("sallyport.yaml", 0o600), os.Chown("sallyport.yaml", os.Getuid(), -1)); err != nil {
			t.Fatal(err)
		}
	}
}

// A flag is often given as "$KEY", and that may not be set: what was asked for is not left
// out then. A made-up record would pass, and all be chosen in place of little.
func TestEmptyFlags(t *testing.T) {
	initialise(t)
	for _, args := range []string{
		"sessions verify --key=", "sessions verify --checkpoint=", "sessions verify --records=", "sessions verify --gateway=", "sessions verify --event=", "sessions verify --proof=",
		"sessions verify --gateway a --gateway=", "sessions list --records=", "sessions list --since=", "sessions calls --until=", "sessions list --subject=", "sessions calls --label=",
		"sessions list --target=", "sessions export --account=", "sessions calls --action=", "sessions list --resource=", "sessions export --result=",
		"sessions reconcile --cloudtrail x --role=", "revoke --subject s --reason r --issuer=", "approvals approve x --digest=", "serve --roles=", "check --config=",
	} {
		flag := strings.TrimSuffix(args[strings.LastIndex(args, "--"):], "=")
		r := do(t, strings.Fields(args)...)
		if r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, flag+" is empty: ") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	for _, args := range [][]string{{"sessions", "show", ""}, {"sessions", "calls", ""}, {"sessions", "export", ""}, {"sessions", "tail", ""}} {
		if r := do(t, args...); r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, "argument 1 is empty: ") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	// No groups are groups, too.
	if out := must(t, "policy", "explain", "--action", "s3:ListAllMyBuckets", "--groups", ""); !strings.Contains(out, "s3:ListBuckets") {
		t.Error(out)
	}
	for _, args := range [][]string{{"run", "--label=", "--reason=", "--", "true", ""}, {"run", "true", ""}, {"env", "--audience="}} {
		if r := do(t, args...); strings.Contains(r.stderr, "is empty") {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// A reason that approvers would see half of is said shorter.
func TestLongReason(t *testing.T) {
	newUser(t)
	for _, length := range []int{maxReason, maxReason + 1} {
		reason := strings.Repeat("ä", length)
		t.Setenv(reasonVariable, reason)
		for _, r := range []result{do(t, "run", "--reason", reason, "--", "true"), do(t, "run", "--", "true")} {
			if long := r.code == exitUsage && strings.Contains(r.stderr, "say it shorter"); long != (length > maxReason) {
				t.Errorf("%d characters: %+v", length, r)
			}
		}
	}
}

// A label that the gateway takes from nobody is refused before the agent starts, which
// would only say that it cannot connect to its proxy.
func TestBadLabel(t *testing.T) {
	newUser(t)
	for label, want := range map[string]string{"x\x1b[2J": "only printable ASCII", "a:b": "colon", " a": "begins or ends with a space", strings.Repeat("x", 300): "longer than"} {
		for _, args := range [][]string{{"run", "--label", label, "--", "true"}, {"env", "--label", label}} {
			if r := do(t, args...); r.code != exitUsage || !strings.Contains(r.stderr, "--label: ") || !strings.Contains(r.stderr, want) {
				t.Errorf("%q: %+v", label, r)
			}
		}
	}
}

// What can be wrong with a machine: exit code 1, and what to do about it.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T)
		args  string
		want  []string
	}{
		{"broken YAML", func(t *testing.T) { write(t, "sallyport.yaml", "a: [1\nb: {") }, "check", []string{"sallyport.yaml:1: ", "not valid YAML"}},
		{"empty", func(t *testing.T) { write(t, "sallyport.yaml", "") }, "check", []string{"the file is empty"}},
		{"a folder", func(*testing.T) {}, "check --config .", []string{".: cannot be read: is a directory"}},
		{"no role, unknown key", func(t *testing.T) {
			write(t, "sallyport.yaml", "targets: {dev: {regions: [us-east-1]}}\nidentity: {local: true}\nbogus: 1\n")
		}, "serve", []string{"targets.dev.role_arn: name the role", `unknown key "bogus"`}},
		{"bad policy", func(t *testing.T) { write(t, "policy.yaml", "rules:\n  - name: x\n    effect: maybe\n") },
			"check", []string{"policy.yaml:3:", "write allow, ask or deny"}},
		{"bad policy, serve", func(t *testing.T) { write(t, "policy.yaml", "rules:\n  - name: x\n    effect: maybe\n") },
			"serve", []string{"policy.yaml:3:", "write allow, ask or deny"}},
		{"no policy", func(t *testing.T) { remove(t, "policy.yaml") }, "check", []string{"policy.yaml", "no such file"}},
		{"rule for no target", func(t *testing.T) { edit(t, "policy.yaml", "targets: [dev]", "targets: [nope]") },
			"check", []string{`the target "nope" matches none of the configured targets: dev`}},
		{"trial issuer on a network", func(t *testing.T) { edit(t, "sallyport.yaml", "listen: 127.0.0.1:", "listen: 0.0.0.0:") },
			"check", []string{"identity.local", "name a real issuer, or listen on 127.0.0.1"}},
		{"open state_dir, check", func(t *testing.T) { chmod(t, "state", 0o755) }, "check", []string{"chmod 700"}},
		{"open state_dir, serve", func(t *testing.T) { chmod(t, "state", 0o755) }, "serve", []string{"chmod 700"}},
		{"open state_dir, ca", func(t *testing.T) { chmod(t, "state", 0o755) }, "ca show", []string{"chmod 700"}},
		{"open CA key", func(t *testing.T) { chmod(t, "state/ca/root.key", 0o644) }, "serve", []string{"root.key has mode 0644", "chmod 600"}},
		{"open trial key", func(t *testing.T) { must(t, "token"); chmod(t, "state/keys/trial-issuer.key", 0o644) },
			"token", []string{"chmod 600"}},
		{"trial issuer off, token", trialOff, "token", []string{"identity.local"}},
		{"proxy port in use", func(t *testing.T) { occupy(t, "127.0.0.1:", "listen: 127.0.0.1:") }, "serve",
			[]string{"proxy.listen: ", "address already in use", "stop it, or choose another port"}},
		{"admin port in use", func(t *testing.T) { occupy(t, "127.0.0.1:", "admin:\n  listen: 127.0.0.1:") }, "serve",
			[]string{"admin.listen: ", "address already in use", "stop it, or choose another port"}},
		{"recorder alone without NATS", func(*testing.T) {}, "serve --roles recorder", []string{"set nats.url and nats.creds_file"}},
		{"gateway not running", func(*testing.T) {}, "run -- true", []string{"cannot be reached", "is `sallyport serve` running?"}},
		{"no root", func(t *testing.T) { remove(t, "state/ca/root.crt") }, "run -- true", []string{"the CA's root", "`sallyport serve` makes it"}},
		{"http to another machine", func(*testing.T) {}, "run --gateway http://192.0.2.1:3128 -- true", []string{"tls_listen with https://"}},
		{"not a URL", func(*testing.T) {}, "run --gateway here -- true", []string{"http://host:port or https://host:port"}},
		{"unknown target", func(*testing.T) {}, "run --target prod -- true", []string{"there is no target `prod`", "there is dev"}},
		{"unknown target, env", func(*testing.T) {}, "env --target prod", []string{"there is no target `prod`"}},
		{"unknown target, explain", func(*testing.T) {}, "policy explain --action s3:GetObject --target prod", []string{"there is no target `prod`"}},
		{"no token file", func(*testing.T) {}, "env --token-file nope", []string{"read the token file: open nope: no such file"}},
		{"not a token", func(t *testing.T) { write(t, "token", "hunter2") }, "env --token-file token", []string{"is not a JWT"}},
		{"empty variable", func(t *testing.T) { t.Setenv("MY_TOKEN", "") }, "env --token-env MY_TOKEN", []string{"MY_TOKEN", "is empty"}},
		{"long token", func(*testing.T) {}, "token --ttl 5h", []string{"at most 1h"}},
		{"no such action", func(*testing.T) {}, "policy explain --action s3:Nonsense", []string{"no AWS operation needs the action s3:Nonsense"}},
		{"not an action", func(*testing.T) {}, "policy explain --action nonsense", []string{"write service:Action"}},
		{"nothing recorded", func(*testing.T) {}, "sessions show", []string{"no session has been recorded"}},
		{"unknown session", func(*testing.T) {}, "sessions show 01ZZZ", []string{`no session begins with "01ZZZ"`, "`sallyport sessions list`"}},
		{"a path", func(*testing.T) {}, "sessions show ../../state/ca/root", []string{"no session begins with"}},
		{"serve never ran", func(*testing.T) {}, "sessions tail", []string{"`sallyport serve` writes it"}},
		{"NATS is away", func(t *testing.T) { makeURL(t) }, "sessions tail", []string{"no servers available", "is `sallyport serve`, or the NATS server, running"}},
		{"init again", func(*testing.T) {}, "init", []string{"is there already", "nothing was written", "--dir"}},
		{"bad role", func(*testing.T) {}, "init --dir other --role-arn nonsense", []string{"--role-arn", "arn:aws:iam::111122223333:role/agent-dev"}},
		{"bad region", func(*testing.T) {}, "init --dir other --region mars-1", []string{"--region", "mars-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			initialise(t)
			c.spoil(t)
			r := do(t, strings.Fields(c.args)...)
			if r.code != exitFailed {
				t.Errorf("exit code %d", r.code)
			}
			for _, want := range c.want {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("want %q in\n%s", want, r.stderr)
				}
			}
			if r.stdout != "" || strings.Contains(r.stderr, "hunter2") {
				t.Errorf("%+v", r)
			}
			clean(t, r)
		})
	}
}

// A misspelt action or resource in a rule protects nothing: check says so, and goes on.
func TestCheckWarnsOfWhatMatchesNothing(t *testing.T) {
	initialise(t)
	if r := do(t, "check"); r.code != exitDone || strings.Contains(r.stderr, "rule ") {
		t.Errorf("of what init wrote: %+v", r)
	}
	write(t, "policy.yaml", `rules:
  - {name: all-of-s3, who: {groups: [ai-agents]}, targets: [dev], actions: ["s3:*"], effect: allow}
  - name: no-deletes
    who: {subjects: ["*"]}
    targets: ["*"]
    actions: ["s3:DeletObject"]
    resources: ["arn:aws:s4:::acme"]
    effect: deny
`)
	r := do(t, "check")
	if r.code != exitDone || !strings.HasPrefix(r.stdout, "ok: 1 target, 2 rules (") {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{
		`policy.yaml:6:15: rule no-deletes: the action "s3:DeletObject" matches none`, "did you mean s3:DeleteObject?\n",
		`policy.yaml:7:17: rule no-deletes: the resource "arn:aws:s4:::acme" matches nothing`,
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("want %q in\n%s", want, r.stderr)
		}
	}
	if n := strings.Count(r.stderr, ": rule "); n != 2 {
		t.Errorf("%d warnings of rules:\n%s", n, r.stderr)
	}
	clean(t, r)
}

// With the trial issuer off and no flag, where tokens come from is left to say.
func TestNoSourceOfTokens(t *testing.T) {
	initialise(t)
	trialOff(t)
	r := do(t, "run", "--", "true")
	if r.code != exitUsage || !strings.Contains(r.stderr, "the trial issuer is off (identity.local)") || !strings.Contains(r.stderr, "--token-file, --token-env") {
		t.Errorf("%+v", r)
	}
}

func trialOff(t *testing.T) {
	t.Helper()
	edit(t, "sallyport.yaml", "local: true", "issuers: [{issuer: \"https://idp.example.com/\", audience: sallyport}]\n  local: false")
}

// Credentials that a configuration has are those of its own role, not of who looks.
func TestTailWithoutCredentials(t *testing.T) {
	newUser(t)
	for args, want := range map[string]string{
		"sessions tail --nats nats://127.0.0.1:1":      "--creds: give the NATS credentials of an operator",
		"sessions tail --nats nats://127.0.0.1:1 01M8": `session "01M8" is not a ULID: give a whole id, which `,
	} {
		if r := do(t, strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// occupy takes the port that stands after key, in place of the one there.
func occupy(t *testing.T, host, key string) {
	t.Helper()
	l, err := net.Listen("tcp", host+"0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	text, err := os.ReadFile("sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), key)
	_, rest, _ := strings.Cut(after, " ")
	if !found {
		t.Fatalf("no %q", key)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	write(t, "sallyport.yaml", before+key+port+"   "+rest)
}

// makeURL leaves what a stopped `serve` leaves.
func makeURL(t *testing.T) {
	t.Helper()
	_, _, stop := serve(t)
	if code := stop(); code != exitDone {
		t.Fatalf("serve ended with %d", code)
	}
}

func chmod(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}
