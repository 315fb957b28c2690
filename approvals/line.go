package approvals

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/terminal"
)

// Line tells an update in one line of plain text, without control, invisible or
// right-to-left characters; what others wrote stands in quotes, as in a Summary.
func (u Update) Line() string {
	switch {
	case u.Request != nil:
		s := Summarize(*u.Request)
		return fmt.Sprintf("%s asks to %s. Risk %d of 100. Approval %s, until %s.", name(u.Request.Who.Subject), s.Headline, u.Request.Risk.Score, s.Approval, s.Expires.Format("2006-01-02 15:04 MST"))
	case u.Outcome != nil:
		return fmt.Sprintf("Approval %s was %s", ours(u.Outcome.Approval), u.Outcome.Words())
	}
	return ""
}

// Words tells how an approval ended and who said what: `denied: "ann@acme.example"
// through slack ("no")`. It is harmless as a Summary is.
func (o Outcome) Words() string {
	var b strings.Builder
	b.WriteString(ours(o.Outcome))
	for i, v := range o.Approvers {
		b.WriteString([]string{": ", "; "}[min(i, 1)] + ours(v.Decision) + " by " + name(v.Person()))
		if v.Via != "" {
			b.WriteString(" through " + ours(v.Via))
		}
		if v.Reason != "" {
			b.WriteString(" (" + terminal.Quote(v.Reason, MaxReason) + ")")
		}
	}
	return b.String()
}

// Person is how others know who voted: the verified address, or else the subject.
func (v Vote) Person() string {
	if v.Email != "" {
		return v.Email
	}
	return v.Subject
}
