package approvals

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/policy"
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
	next := ": "
	if left := o.Left(); left != "" { // before reasons, which are long enough to have it cut off
		b.WriteString(", " + left)
		next = "; "
	}
	for _, v := range o.Approvers {
		b.WriteString(next + ours(v.Decision) + " by " + name(v.Person()))
		next = "; "
		if v.Via != "" {
			b.WriteString(" through " + ours(v.Via))
		}
		if v.Reason != "" {
			b.WriteString(" (" + terminal.Quote(v.Reason, MaxReason) + ")")
		}
	}
	return b.String()
}

// Left says what was let through beyond the call that was asked for, "" for nothing:
// `granted for 15 minutes, 3 calls in all: the same again`. It is harmless as a Summary is.
func (o Outcome) Left() string {
	g := o.Grant
	if g == nil || g.Count < 2 || o.Outcome != Approved {
		return ""
	}
	out := "granted for " + name(g.For) + " that cannot be read: "
	if d, err := time.ParseDuration(g.For); err == nil {
		out = fmt.Sprintf("granted for %s, %d calls in all: ", minutes(d), g.Count)
	}
	if len(g.Actions) == 0 && len(g.Resources) == 0 {
		return out + "the same again"
	}
	return out + list(g.Actions, policy.MaxCover, whole) + " on " + list(g.Resources, policy.MaxCover, whole)
}

// Person is how others know who voted: the verified address, or else the subject.
func (v Vote) Person() string {
	if v.Email != "" {
		return v.Email
	}
	return v.Subject
}
