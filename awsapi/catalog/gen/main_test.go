package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// botocore is the version that the committed tables were made from.
const botocore = "1.43.11"

// The committed tables are what build.py makes of that version of botocore.
func TestTablesAreCurrent(t *testing.T) {
	version, err := exec.CommandContext(t.Context(), "python3", "-c", "import botocore; print(botocore.__version__)").Output()
	if got := strings.TrimSpace(string(version)); err != nil || got != botocore {
		t.Skipf("botocore %s is not installed here (%s), so the tables cannot be made again: %v", botocore, got, err)
	}
	data, out := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "python3", "../build/build.py", "--out", data)
	build.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if b, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build.py: %v\n%s", err, b)
	}
	var report bytes.Buffer
	if err := run(data, out, &report); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.json.gz", "services.bin"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "tables", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what build.py gives; run make catalog", name)
		}
	}
	for _, line := range []string{"new: 0\n", "gone: 0\n", "changed: 0\n", "awsapi/class: 0\n"} {
		if !strings.Contains(report.String(), line) {
			t.Errorf("want %q in\n%.2000s", line, report.String())
		}
	}
}

// The report names what came, went, changed and is to be reviewed.
func TestReport(t *testing.T) {
	doctored := func() *catalog.Catalog {
		c, err := catalog.Load()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before, after := doctored(), doctored()
	sqs, err := before.Lookup("sqs")
	if err != nil {
		t.Fatal(err)
	}
	delete(sqs.Operations, "PurgeQueue")
	now, err := after.Lookup("sqs")
	if err != nil {
		t.Fatal(err)
	}
	delete(now.Operations, "SendMessageBatch")
	now.Operations["SendMessage"].Path = "/elsewhere"
	d, err := now.Detail("ListQueues")
	if err != nil {
		t.Fatal(err)
	}
	d.IAM[0].Level = "Write"
	d.SecretOutput = map[string][]catalog.Member{"json": {{Kind: "aws-secret-access-key"}}}
	var out bytes.Buffer
	if err := writeReport(&out, before, after); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"new: 1\n  sqs:PurgeQueue\n", "gone: 1\n  sqs:SendMessageBatch\n", "changed: 2\n",
		"sqs:ListQueues: needed [sqs:ListQueues (Read)], needs [sqs:ListQueues (Write)]\n", "sqs:SendMessage: bound to HTTP in another way\n",
		"  sqs:ListQueues may be hands-out-credentials"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}
