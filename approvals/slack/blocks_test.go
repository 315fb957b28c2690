package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
)

// Whatever an agent writes, a message stays within Slack's limits, shows it only where
// Slack parses nothing, says so where it was cut, and is the same after it was kept.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "bucket", "<!channel>", "*x* _y_ ~z~ `c`", "<http://evil.example|ok>", "a\nApproved\r\n", "x\u202egnp", "\u05d0", "\xff\xfe", "&amp;<", ":x:", "@here #general",
		strings.Repeat("A", 5000), strings.Repeat("\U0001f600", 2000), strings.Repeat("\u0301", 300), "\x1b]52;c;x\x07"} {
		f.Add(s, 1)
		f.Add(s, 70)
	}
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = min(max(n, 0), 100)
		r := approvals.Request{
			Approval: "01J0000000000000000000000A", Digest: strings.Repeat("ab", 32), Who: event.UserIdentity{Issuer: s, Subject: s, Label: s, Groups: slices.Repeat([]string{s}, n)}, Email: s,
			Service: "s3", Operation: "DeleteBucket", Target: "dev", Account: "111122223333", Reason: s, Risk: event.Risk{Score: 70, Reasons: slices.Repeat([]string{"destroys: +50"}, n)},
			Rules: slices.Repeat([]string{"ask-before-terminate"}, n), Approvers: slices.Repeat([]approvals.Needed{{Groups: []string{"sre"}, Count: 1}}, n), Parameters: map[string]any{s: s}, Created: at, Expires: at.Add(time.Hour),
		}
		for i := range n {
			r.Resources = append(r.Resources, event.Resource{ARN: "arn:aws:s3:::" + s, Type: "bucket", AccountID: fmt.Sprint(s, i)})
			r.Parameters[fmt.Sprint(s, i)] = []any{s, map[string]any{s: s}}
		}
		e := &event.Enrichment{Resources: make([]event.Described, n), Notes: slices.Repeat([]string{s}, n), Unread: n}
		for i := range e.Resources {
			e.Resources[i] = event.Described{ARN: "arn:aws:s3:::" + s, Name: s, Tags: slices.Repeat([]event.Tag{{Key: s, Value: s}}, n)}
		}
		r.Enrichment = e.Bounded()
		o := approvals.Outcome{Outcome: approvals.Denied, At: at, Approvers: slices.Repeat([]approvals.Vote{{Subject: s, Email: s, Decision: "deny", Reason: s, Via: "slack"}}, n)}
		words := maps.Clone(ourWords)
		for _, fact := range approvals.Summarize(r).Facts { // their names are constants
			words[fact.Name] = len(fact.Name) <= 20 && !strings.ContainsAny(fact.Name, "<>*_~`@#:\n")
		}
		blocks := append(body(r), verdict(o))
		total := 0
		for _, b := range blocks {
			rich, ok := b.(*slack.RichTextBlock)
			if !ok {
				t.Fatalf("a block of type %T", b)
			}
			size := 0
			for _, e := range rich.Elements {
				var texts []slack.RichTextSectionElement
				boxed := false
				switch e := e.(type) {
				case *slack.RichTextPreformatted:
					texts, boxed = e.Elements, true
				case *slack.RichTextSection:
					texts = e.Elements
				default:
					t.Fatalf("an element of type %T", e)
				}
				for _, x := range texts {
					x, ok := x.(*slack.RichTextSectionTextElement)
					if !ok || x.Text == "" {
						t.Fatalf("an element %T, %+v", x, x)
					}
					size += length(x.Text)
					plainly := x.Style == nil || !x.Style.Code
					if plainly && !boxed && !words[x.Text] {
						t.Errorf("%q stands among our words", x.Text)
					}
					if strings.ContainsAny(x.Text, "\r\x1b\u202e") || !boxed && x.Text != "\n" && strings.Contains(x.Text, "\n") {
						t.Errorf("%q has what moves or turns a line", x.Text)
					}
				}
			}
			if size > 3000 {
				t.Errorf("%d characters in block %s", size, rich.BlockID)
			}
			total += size
		}
		if len(blocks) > 47 || total > 13000 {
			t.Errorf("%d blocks, %d characters", len(blocks), total)
		}
		text, err := json.Marshal(blocks)
		if err != nil {
			t.Fatal(err)
		}
		var kept slack.Blocks
		if err := json.Unmarshal(text, &kept); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(kept.BlockSet); err != nil || string(again) != string(text) {
			t.Errorf("kept is\n%s\nnot\n%s", again, text)
		}
		for _, u := range []approvals.Update{{Request: &r}, {Outcome: &o}} {
			line := plain(u.Line())
			if rest := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(line); strings.ContainsAny(rest, "&<>*_~`@#\n\r\x1b\u202e") || strings.Contains(rest, "://") || len(line) > 4000 {
				t.Errorf("%q is parsed", line)
			}
		}
	})
}

// ourWords are what a message has beside the names of facts.
var ourWords = map[string]bool{": ": true, "\n": true, "Resources": true, "Parameters, masked": true, "Approval": true, "Digest": true, "Asked": true, "Outcome": true, "At": true}

// Of an approval there are two ends: its own, and that of its grant.
func TestEnded(t *testing.T) {
	for outcome, want := range map[string]string{approvals.Approved: "Approved", approvals.Revoked: "Approved; its grant was ended", "later": "Ended"} {
		if got := ended(approvals.Outcome{Outcome: outcome}); got != want {
			t.Errorf("%s is %q, not %q", outcome, got, want)
		}
	}
}

// What is cut says so and is not longer than it may be; what fits stays.
func TestCut(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("é", 100), strings.Repeat("\U0001f600", 100), strings.Repeat("x", 101)} {
		got := cut(s, 100)
		if length(got) > 100 || (got == s) != (length(s) <= 100) || got != s && !strings.HasSuffix(got, "characters in all]") {
			t.Errorf("%q is %q", s, got)
		}
	}
}

// Two objects whose names begin with the same padding are told apart.
func TestLongNamesDiffer(t *testing.T) {
	about := func(end string) string {
		key := strings.Repeat("a", 1024-len(end)) + end
		r := approvals.Request{
			Service: "s3", Operation: "PutObject", Resources: []event.Resource{{ARN: "arn:aws:s3:::acme-dev-reports/" + key, Type: "object"}},
			Parameters: map[string]any{"Key": key},
		}
		text, err := json.Marshal(body(r))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if strings.Count(about("/payroll"), "/payroll") != 3 { // headline, resource, parameter
		t.Error("the end of a long name is out of sight:\n" + about("/payroll"))
	}
}

// Of a long line both ends are there, and it is not longer than it may be.
func TestEnds(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("é", 100), strings.Repeat("\U0001f600", 100), strings.Repeat("x", 100) + "payroll", "x" + strings.Repeat("\U0001f600", 99)} {
		got := ends(s, 100)
		first, _ := utf8.DecodeRuneInString(s)
		last, _ := utf8.DecodeLastRuneInString(s)
		if length(got) > 100 || (got == s) != (length(s) <= 100) || s != "" && (!strings.HasPrefix(got, string(first)) || !strings.HasSuffix(got, string(last))) {
			t.Errorf("%q is %q", s, got)
		}
	}
}

// What helps to try again, and that errors show no URL.
func TestClassify(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		again bool
		after time.Duration
	}{
		"limited":   {&slack.RateLimitedError{RetryAfter: 7 * time.Second}, true, 7 * time.Second},
		"away":      {slack.StatusCodeError{Code: 503, Status: "503 Service Unavailable"}, true, 0},
		"redirect":  {slack.StatusCodeError{Code: 307, Status: "307 Temporary Redirect"}, false, 0},
		"token":     {slack.SlackErrorResponse{Err: "invalid_auth"}, false, 0},
		"blocks":    {slack.SlackErrorResponse{Err: "invalid_blocks"}, false, 0},
		"internal":  {slack.SlackErrorResponse{Err: "internal_error"}, true, 0},
		"no answer": {&url.Error{Op: "Post", URL: "https://slack.example/?ticket=secret", Err: errors.New("connection refused")}, true, 0},
	} {
		err := classify(c.err)
		var retry *approvals.RetryError
		if errors.Is(err, approvals.ErrUndeliverable) == c.again || errors.As(err, &retry) != (c.after > 0) || retry != nil && retry.After != c.after || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if classify(nil) != nil {
		t.Error("nothing is an error")
	}
}

// Reasons, however long, do not push a grant out of the message that says how it ended.
func TestVerdictTellsTheGrant(t *testing.T) {
	o := approvals.Outcome{Outcome: approvals.Approved, Grant: &approvals.Grant{For: "15m", Count: 20}, Approvers: slices.Repeat([]approvals.Vote{{Subject: "ann", Decision: "allow", Reason: strings.Repeat("x", approvals.MaxReason)}}, 5)}
	text, err := json.Marshal(verdict(o))
	if err != nil || !strings.Contains(string(text), "granted for 15 minutes, 20 calls in all: the same again") {
		t.Errorf("%s %v", text, err)
	}
}
