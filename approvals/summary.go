package approvals

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
)

// Summary is a request in the words that a person decides by, the same on every
// medium. Its texts are single lines without control, invisible or right-to-left
// characters, and what an agent, an identity provider or AWS wrote in them stands
// between double quotes that it cannot leave (terminal.Quote). A medium with
// markup of its own (HTML, Slack) must escape that markup still.
type Summary struct {
	Approval   string    `json:"approval"`
	Digest     string    `json:"digest"`   // what an answer must name: the digest of the request shown here
	Headline   string    `json:"headline"` // what will be done and where
	Facts      []Fact    `json:"facts"`    // who asks, why it is asked, what is needed; in the order to show
	Resources  []string  `json:"resources"`
	Parameters []Fact    `json:"parameters"`
	Granted    string    `json:"granted,omitempty"` // what DefaultGrant lets through; "" where it cannot be given
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"`
}

// Fact is one line of a summary.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// What of a summary is shown; what is left out is counted, so that nothing can be
// pushed out of sight unseen.
const (
	maxName       = 256  // characters of one name
	maxARN        = 2048 // characters of one ARN: more than any has, with an object's key of 1,024
	maxValue      = 512  // characters of one text in a parameter
	maxShownParam = 2048
	maxShown      = 64 // resources, and parameters
	maxGroups     = 16
)

// Summarize tells r in plain words. It trusts nothing in r: a request comes over
// the network.
func Summarize(r Request) Summary {
	s := Summary{
		Approval: terminal.Escape(r.Approval, maxName), Digest: terminal.Escape(r.Digest, maxName),
		Headline: headline(r), Resources: resources(r), Parameters: parameters(r),
		Created: r.Created.UTC(), Expires: r.Expires.UTC(),
	}
	add := func(name, format string, args ...any) {
		s.Facts = append(s.Facts, Fact{name, fmt.Sprintf(format, args...)})
	}
	add("Who", "%s", who(r))
	if r.Who.Label != "" {
		add("Label", "%s (chosen by the agent)", name(r.Who.Label))
	}
	add("Operation", "%s", operation(r))
	add("Role", "%s", ours(r.RoleARN))
	if others := otherAccounts(r); others != "" {
		add("Attention", "resources in other accounts: %s", others)
	}
	if e := r.Earlier; e != nil {
		add("Attention", "the same call was let through at %s as request %s, and its outcome is not known: it may have been done already", e.At.UTC().Format("2006-01-02 15:04:05 MST"), ours(e.RequestID))
	}
	if b := r.RequestBody; b != nil {
		add("Body", "%d bytes, SHA-256 %s", b.Size, ours(b.SHA256))
	}
	if r.Reason != "" {
		add("Said", "the agent says (untrusted): %s", terminal.Quote(r.Reason, maxName))
	}
	s.Facts = append(s.Facts, enrichment(r)...)
	add("Risk", "%s", risk(r))
	add("Rule", "%s", rules(r))
	add("Needs", "%s", needs(r.Approvers))
	add("Session", "%s, request %s", ours(r.SessionID), ours(r.RequestID))
	if DefaultGrant.Fits(r) == nil {
		s.Granted = DefaultGrant.Words(r)
	}
	return s
}

// ours escapes a text of the gateway or of its operator; name quotes any other.
func ours(s string) string { return terminal.Escape(s, maxName) }
func name(s string) string { return terminal.Quote(s, maxName) }

func who(r Request) string {
	out := name(r.Who.Subject)
	if r.Email != "" {
		out += ", e-mail " + name(r.Email)
	}
	if groups := r.Who.Groups; len(groups) > 0 {
		out += ", groups " + list(groups, maxGroups, name)
	}
	return out + ", says issuer " + name(r.Who.Issuer)
}

func list(texts []string, most int, f func(string) string) string {
	out := make([]string, 0, min(len(texts), most))
	for _, t := range texts[:min(len(texts), most)] {
		out = append(out, f(t))
	}
	text := strings.Join(out, ", ")
	if more := len(texts) - len(out); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func operation(r Request) string {
	out := ours(r.Service) + " " + ours(r.Operation)
	if r.AccessLevel != "" {
		out += " (" + ours(r.AccessLevel) + ")"
	}
	if len(r.Actions) > 0 {
		out += ", needs " + list(r.Actions, maxShown, ours)
	}
	return out
}

// otherAccounts names the accounts of resources that are not the target's.
func otherAccounts(r Request) string {
	var others []string
	for _, res := range r.Resources {
		if id := res.AccountID; id != "" && id != r.Account && !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	return list(others, maxGroups, name)
}

func risk(r Request) string {
	out := fmt.Sprintf("%d of 100", r.Risk.Score)
	if len(r.Risk.Reasons) > 0 {
		out += " (" + list(r.Risk.Reasons, maxShown, ours) + ")"
	}
	return out
}

func rules(r Request) string {
	out := list(r.Rules, maxGroups, ours)
	if out == "" {
		out = "none: its risk asks"
	}
	if r.PolicyVersion != "" {
		out += ", policy version " + ours(r.PolicyVersion[:min(12, len(r.PolicyVersion))])
	}
	return out
}

func needs(approvers []Needed) string {
	out := make([]string, 0, len(approvers))
	for _, n := range approvers {
		people := "1 person"
		if n.Count != 1 {
			people = fmt.Sprintf("%d people", n.Count)
		}
		out = append(out, people+" of "+strings.ReplaceAll(list(n.Groups, maxGroups, ours), ", ", " or "))
	}
	if len(out) == 0 {
		return "nobody is named who may approve"
	}
	return strings.Join(out, ", and ")
}

func resources(r Request) []string {
	out := make([]string, 0, min(len(r.Resources), maxShown)+1)
	for _, res := range r.Resources[:min(len(r.Resources), maxShown)] {
		out = append(out, terminal.QuoteEnds(res.ARN, maxARN))
	}
	if more := len(r.Resources) - len(out) + r.ResourcesOmitted; more > 0 {
		out = append(out, fmt.Sprintf("and %d more that are not shown", more))
	}
	return out
}
