package approvals

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The page that others build approvers by: every heading stands there once, the
// examples are JSON, and the first is a request as approvers get it, with members that
// there are.
func TestDocsOfApprovals(t *testing.T) {
	text, err := os.ReadFile("../docs/approvals.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var headings []string
	for _, h := range regexp.MustCompile(`(?m)^## .*$`).FindAllString(page, -1) {
		if slices.Contains(headings, h) {
			t.Errorf("%q stands there twice", h)
		}
		headings = append(headings, h)
		if !strings.Contains(page, "\n\n"+h+"\n\n") {
			t.Errorf("%q is glued to other text", h)
		}
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		if !json.Valid([]byte(e[1])) {
			t.Errorf("no JSON:\n%s", e[1])
		}
	}
	var example struct {
		Request
		EventTime string `json:"eventTime"` // of every event
	}
	if err := strict([]byte(examples[0][1]), &example); err != nil || example.Reason == "" || example.Earlier == nil || example.Extent == "" {
		t.Errorf("the pending message: %v", err)
	}
	var answer Answer
	if err := strict([]byte(examples[1][1]), &answer); err != nil || answer.Decision != Allow {
		t.Errorf("the answer: %v", err)
	}
}
