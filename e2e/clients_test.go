package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A client is a program that speaks S3, as lines of sh for each thing it does. A
// line is about these variables: B the bucket, K the key, U the key in a URL, P the
// prefix of the client's keys, R the region, F the file to send, D the file to
// receive into, W a folder of its own. head prints the size, list the keys, part
// writes the bytes 100 to 199 into D.
type client struct {
	name string
	find func() string // what $X is; "" when the client is not there
	how  string        // to get it
	env  []string

	version string
	put     string // in one request
	multi   string // in parts; "" when it cannot
	stream  string // a second way to put; "" when there is none
	get     string
	head    string
	part    string
	list    string
	remove  string // "": uploads and downloads are all there is

	refused  string // what it prints of a refusal; "" the gateway's own words
	noBucket string // what it prints of S3's 404; "" its code, NoSuchBucket
	noRetry  bool   // it makes one attempt alone
	// What a referee cannot take, or tells wrongly, and AWS does not:
	oneChunk  bool // MinIO: its puts of any size are one chunk, which may have 16 MiB at most
	otherHost bool // versitygw: it asks another host than the region's, which alone is its domain
	plusInURL bool // versitygw: it wants listings URL-encoded, and "+" is left as it is in them
}

// everyClient is what the matrix runs with nothing but what `sallyport run` sets.
func everyClient() []client {
	python, _ := filepath.Abs("testdata/s3agent.py")
	node, _ := filepath.Abs("testdata/s3agent.cjs")
	modules, _ := filepath.Abs("../bin/js/node_modules")
	if dir := os.Getenv("SALLYPORT_NODE_MODULES"); dir != "" {
		modules = dir
	}
	self, _ := os.Executable()
	cli := client{
		version: `"$X" --version | cut -d' ' -f1`,
		put:     `"$X" s3api put-object --bucket "$B" --key "$K" --body "$F"`,
		multi:   `"$X" s3 cp --only-show-errors "$F" "s3://$B/$K"`,
		get:     `"$X" s3 cp --only-show-errors "s3://$B/$K" "$D"`,
		head:    `"$X" s3api head-object --bucket "$B" --key "$K" --query ContentLength`,
		part:    `"$X" s3api get-object --bucket "$B" --key "$K" --range bytes=100-199 "$D"`,
		list:    `"$X" s3 ls --recursive "s3://$B/$P"`,
		remove:  `"$X" s3 rm "s3://$B/$K"`,
	}
	const checksums = 23 // v2's minor version that began to send them unasked, in trailers
	v1, v2, old := cli, cli, cli
	v1.name, v1.how = "AWS CLI v1", "pip install 'awscli<2'"
	v1.find = func() string { return awsCLI(1, 0, 100, os.Getenv("SALLYPORT_AWS1"), "aws") }
	v2.name, v2.how = "AWS CLI v2", ".ci/aws2 trixie bin/aws2, or name one that is 2.23 or later in SALLYPORT_AWS2"
	v2.find = func() string {
		return awsCLI(2, checksums, 100, tool("SALLYPORT_AWS2", filepath.Join("aws2", "aws")), "aws", "/usr/bin/aws")
	}
	old.name, old.how = "AWS CLI v2.9", "apt-get install awscli on Debian 12, or name one before 2.23 in SALLYPORT_AWS2_OLD"
	old.find = func() string { return awsCLI(2, 0, checksums, os.Getenv("SALLYPORT_AWS2_OLD"), "aws", "/usr/bin/aws") }

	steps := func(c client, run string) client {
		for name, line := range map[string]*string{"put": &c.put, "multi": &c.multi, "get": &c.get, "head": &c.head, "part": &c.part, "list": &c.list, "delete": &c.remove} {
			*line = strings.ReplaceAll(run, "STEP", name)
		}
		return c
	}
	boto := steps(client{name: "boto3", how: "pip install boto3", version: `python3 -c 'import boto3; print(boto3.__version__)'`,
		find: func() string { return works("python3", "-c", "import boto3") }, env: []string{"AGENT=" + python}}, `python3 "$AGENT" STEP`)
	golang := steps(client{name: "SDK for Go v2", version: `sed -n 's|.*service/s3 ||p' "$GOMOD"`,
		find: func() string { return self }, env: []string{"GOMOD=" + abs("../go.mod")}}, goAgentVariable+`=STEP "$X"`)
	golang.oneChunk = true
	js := steps(client{name: "SDK for JavaScript v3", how: "npm ci in bin/js, with the package.json of e2e/testdata/js (.ci/clients does it)",
		version: `node -p "require('@aws-sdk/client-s3/package.json').version + ' on node ' + process.version"`,
		find: func() string {
			return worksIn([]string{"NODE_PATH=" + modules}, "node", "-e", "require('@aws-sdk/lib-storage')")
		},
		env: []string{"NODE_PATH=" + modules, "AGENT=" + node}}, `node "$AGENT" STEP`)
	js.stream = `node "$AGENT" stream`

	all := []client{v1, v2, old, boto, golang, js, {
		name: "rclone", how: "apt-get install rclone", plusInURL: true,
		find: func() string { return tool("SALLYPORT_RCLONE", "rclone") },
		// It does not start while AWS_CA_BUNDLE is set, which `sallyport run` sets.
		env: []string{"RCLONE_CONFIG=/dev/null", "RCLONE_CONFIG_S3_TYPE=s3", "RCLONE_CONFIG_S3_PROVIDER=AWS", "RCLONE_CONFIG_S3_ENV_AUTH=true",
			"RCLONE_S3_NO_CHECK_BUCKET=true", "RCLONE_RETRIES=1"},
		version: `"$X" version | sed -n '1s/.* //p'`,
		put:     `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" --s3-upload-cutoff 2G copyto "$F" "s3:$B/$K"`,
		multi:   `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" --s3-upload-cutoff 5M --s3-chunk-size 5M copyto "$F" "s3:$B/$K"`,
		get:     `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" copyto "s3:$B/$K" "$D"`,
		head:    `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" lsl "s3:$B/$K"`,
		part:    `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" cat --offset 100 --count 100 "s3:$B/$K" > "$D"`,
		list:    `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" lsf -R "s3:$B/$P"`,
		remove:  `unset AWS_CA_BUNDLE; "$X" --s3-region "$R" deletefile "s3:$B/$K"`,
		refused: "Forbidden: Forbidden", // it asks by HEAD first
	}, {
		name: "mc", otherHost: true, how: "go install github.com/minio/mc at .ci/clients' version (about a minute), then name it in SALLYPORT_MC",
		find:    func() string { return tool("SALLYPORT_MC", "mc") },
		version: `go version -m "$X" | awk '$1 == "mod" {print $3}'`,
		put:     mcHost + `"$X" -C "$W" cp --quiet --disable-multipart "$F" "s3/$B/$K"`,
		multi:   mcHost + `"$X" -C "$W" cp --quiet "$F" "s3/$B/$K"`,
		get:     mcHost + `"$X" -C "$W" cp --quiet "s3/$B/$K" "$D"`,
		head:    mcHost + `"$X" -C "$W" stat --json "s3/$B/$K"`,
		part:    mcHost + `"$X" -C "$W" cat --offset 100 "s3/$B/$K" > "$D.rest"; head -c 100 "$D.rest" > "$D"`,
		list:    mcHost + `"$X" -C "$W" ls -r "s3/$B/$P"`,
		remove:  mcHost + `"$X" -C "$W" rm "s3/$B/$K"`,
		refused: "Insufficient permissions", noBucket: "does not exist",
	}, {
		name: "s3cmd", how: "apt-get install s3cmd",
		find:    func() string { return tool("SALLYPORT_S3CMD", "s3cmd") },
		version: `"$X" --version | sed 's/.* //'`,
		put:     s3cfg + `"$X" -c "$W/s3cfg" --no-progress --disable-multipart put "$F" "s3://$B/$K"`,
		multi:   s3cfg + `"$X" -c "$W/s3cfg" --no-progress --multipart-chunk-size-mb 5 put "$F" "s3://$B/$K"`,
		get:     s3cfg + `"$X" -c "$W/s3cfg" --no-progress get "s3://$B/$K" "$D"`,
		// It asks for the ACL too, whose action MinIO does not know.
		head: s3cfg + `"$X" -c "$W/s3cfg" info "s3://$B/$K" || true`,
		// All that it has: the rest of a file of which the beginning is there.
		part:   s3cfg + `head -c 100 "$F" > "$D.rest"; "$X" -c "$W/s3cfg" --no-progress --continue get "s3://$B/$K" "$D.rest"; tail -c +101 "$D.rest" | head -c 100 > "$D"`,
		list:   s3cfg + `"$X" -c "$W/s3cfg" ls -r "s3://$B/$P"`,
		remove: s3cfg + `"$X" -c "$W/s3cfg" rm "s3://$B/$K"`,
	}, {
		name: "curl --aws-sigv4", how: "apt-get install curl",
		find:    func() string { return works("curl", "--version") },
		version: `curl --version | sed -n '1s/^curl \([^ ]*\).*/\1/p'`,
		put:     curl + `-T "$F" "$O/$U"`,
		get:     curl + `-o "$D" "$O/$U"`,
		head:    curl + `-I "$O/$U"`,
		part:    curl + `-H "Range: bytes=100-199" -o "$D" "$O/$U"`,
		list:    curl + `"$O/?list-type=2&prefix=$P"`,
		remove:  curl + `-X DELETE "$O/$U"`,
		refused: "returned error: 403", noBucket: "returned error: 404", noRetry: true, // with -f it hides the body
	}}
	return append(all, otherSignatures(all)...)
}

const (
	mcHost = `export MC_HOST_s3="https://dev:placeholder@s3.$R.amazonaws.com"; `
	curl   = `O="https://$B.s3.$R.amazonaws.com"; curl -sSf --aws-sigv4 "aws:amz:$R:s3" --user dev:placeholder `
	// s3cmd reads no proxy variable and sends no proxy credentials. The helper of
	// `sallyport run`, which has them, is its proxy.
	s3cfg = `printf '%s\n' '[default]' 'access_key = dev' 'secret_key = placeholder' "host_base = s3.$R.amazonaws.com" ` +
		`"host_bucket = %(bucket)s.s3.$R.amazonaws.com" "bucket_location = $R" 'proxy_host = 127.0.0.1' "proxy_port = ${HTTPS_PROXY##*:}" "ca_certs_file = $SSL_CERT_FILE" > "$W/s3cfg"; `
)

func abs(path string) string {
	path, _ = filepath.Abs(path)
	return path
}

// works is the program, if it runs with these arguments.
func works(name string, args ...string) string { return worksIn(nil, name, args...) }

func worksIn(env []string, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Env = append(cleanEnv(), env...)
	if cmd.Run() != nil {
		return ""
	}
	return name
}

// awsCLI is the first of the programs that is an AWS CLI of this major version and
// of a minor one from the given one to the one before below.
func awsCLI(major, from, below int, programs ...string) string {
	for _, p := range programs {
		var ma, mi int
		out, err := exec.Command(p, "--version").CombinedOutput()
		if err != nil {
			continue
		}
		if _, err := fmt.Sscanf(string(out), "aws-cli/%d.%d.", &ma, &mi); err == nil && ma == major && from <= mi && mi < below {
			return p
		}
	}
	return ""
}

// agent runs a line of sh as the client, under `sallyport run`.
func (w *world) agent(c client, line string, vars ...string) result {
	w.t.Helper()
	before := w.env
	w.env = append(append(append([]string{}, w.env...), c.env...), vars...)
	defer func() { w.env = before }()
	return w.sallyport("run", "--label", "matrix", "--", "sh", "-ec", line)
}

// look skips where the client is not there, and gives its version.
func (c *client) look(t *testing.T) string {
	t.Helper()
	program := need(t, c.find(), c.name, c.how)
	c.env = append(c.env, "X="+program)
	cmd := exec.Command("sh", "-ec", c.version)
	cmd.Env = append(cleanEnv(), c.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the version of %s: %v\n%s", c.name, err, out)
	}
	return strings.TrimSpace(string(out))
}
