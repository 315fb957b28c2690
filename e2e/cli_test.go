package e2e_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The AWS CLI, unmodified, through the gateway to moto: reads and writes what it
// may, is told in words what it may not, never sees the secret, and is on record.
func TestAWSCLI(t *testing.T) {
	for _, c := range everyClient() {
		if strings.HasPrefix(c.name, "AWS CLI") {
			t.Run(c.name, func(t *testing.T) {
				c.look(t)
				testAWSCLI(t, c.find(), c.name == "AWS CLI v1")
			})
		}
	}
}

func testAWSCLI(t *testing.T, program string, newPaths bool) {
	w := newWorld(t)
	aws := func(args ...string) result {
		return w.sallyport(append([]string{"run", "--label", "e2e", "--", program}, args...)...)
	}
	ok := func(contains string, args ...string) string {
		t.Helper()
		r := aws(args...)
		if r.code != 0 || !strings.Contains(r.stdout, contains) {
			t.Errorf("aws %s: want %q\n%v", strings.Join(args, " "), contains, r)
		}
		return r.stdout
	}
	refused := func(contains string, args ...string) {
		t.Helper()
		r := aws(args...)
		if r.code == 0 || !strings.Contains(r.stderr, contains) || !strings.Contains(r.stderr, "AccessDenied") {
			t.Errorf("aws %s: want a refusal with %q\n%v", strings.Join(args, " "), contains, r)
		}
	}

	ok("agent-dev", "sts", "get-caller-identity")
	ok("acme-dev-reports", "s3", "ls")
	ok("q3 übersicht.csv", "s3", "ls", "s3://acme-dev-reports/2026/")

	for name, size := range map[string]int{"empty": 0, "small": 1 << 10, "parts": 20 << 20} {
		body := make([]byte, size)
		_, _ = rand.Read(body)
		w.write(name, string(body))
		ok("", "s3", "cp", name, "s3://acme-dev-reports/up/"+name)
		ok("", "s3", "cp", "s3://acme-dev-reports/up/"+name, name+".back")
		back, err := os.ReadFile(filepath.Join(w.dir, name+".back"))
		if err != nil || !bytes.Equal(back, body) {
			t.Errorf("s3 cp of %d bytes came back different: %d bytes, %v", size, len(back), err)
		}
	}

	item := ok("Ada", "dynamodb", "get-item", "--table-name", "acme-dev-customers", "--key", `{"id":{"S":"42"}}`)
	if strings.Contains(item, "078-05-1120") {
		t.Errorf("the rule's mask path was not masked: %s", item)
	}
	value := ok("dev/db", "secretsmanager", "get-secret-value", "--secret-id", "dev/db")
	if strings.Contains(value, "canary-hunter2") {
		t.Errorf("the secret reached the agent: %s", value)
	}
	id := strings.TrimSpace(ok("i-", "ec2", "describe-instances", "--query", "Reservations[0].Instances[0].InstanceId", "--output", "text"))
	refused("is denied by rule no-terminate", "ec2", "terminate-instances", "--instance-ids", id)
	refused("protect-prod", "s3api", "get-object", "--bucket", "acme-prod-ledger", "--key", "ledger.csv", "out")
	refused("no rule allows", "dynamodb", "delete-table", "--table-name", "acme-dev-customers")
	refused("hands out credentials", "iam", "create-access-key", "--user-name", "x")
	ok("Queue", "sqs", "list-queues", "--query", "'Queue'")
	ok("", "cloudwatch", "list-metrics")
	ok("", "route53", "list-hosted-zones")
	ok("", "iam", "list-roles")
	// The models of Lambda in older CLIs end seven paths in a slash, which the catalog lacks.
	if r := aws("lambda", "list-functions"); r.code != 0 && (newPaths || !strings.Contains(r.stderr, "/functions/ is not known")) {
		t.Errorf("aws lambda list-functions: %v", r)
	}

	list := w.must("sessions", "list").stdout
	if !strings.Contains(list, "e2e") {
		t.Errorf("sessions list does not show the session:\n%s", list)
	}
	story := w.must("sessions", "show").stdout
	for _, want := range []string{"s3:PutObject", "ec2:TerminateInstances", "no-terminate", "SecretString", "agent-dev"} {
		if !strings.Contains(story, want) {
			t.Errorf("sessions show does not mention %s:\n%s", want, story)
		}
	}
	noCanary(t, filepath.Join(w.dir, "state"), "canary-hunter2", "gateway-secret")
}
