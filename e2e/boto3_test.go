package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// boto3, unmodified: answers are what AWS says, refusals are its ordinary
// ClientError, given once and not retried.
func TestBoto3(t *testing.T) {
	w := newWorld(t)
	script, err := filepath.Abs("testdata/agent.py")
	if err != nil {
		t.Fatal(err)
	}
	r := w.must("run", "--label", "boto3", "--", "python3", script)
	var got map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v\n%v", err, r)
	}
	equal := func(name string, want any) {
		t.Helper()
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
	equal("get", "region,revenue\nemea,1\n")
	equal("put", 200.0)
	equal("head", 100.0)
	if s, _ := got["secret"].(string); s == "" || strings.Contains(s, "hunter2") {
		t.Errorf("secret: %v", got["secret"])
	}
	if item, _ := got["item"].(map[string]any); item == nil || strings.Contains(r.stdout, "078-05-1120") {
		t.Errorf("item: %v", got["item"])
	}
	for name, want := range map[string]string{
		"delete": "denied by rule no-terminate", "terminate": "denied by rule no-terminate",
		"assume": "hands out credentials", "region": "us-east-1, not in eu-west-1",
	} {
		e, _ := got[name].(map[string]any)
		message, _ := e["message"].(string)
		if e["status"] != 403.0 || e["attempts"] != 0.0 || !strings.Contains(message, want) || !strings.HasPrefix(message, "sallyport: ") {
			t.Errorf("%s: got %v, want one 403 with %q", name, got[name], want)
		}
	}
}
