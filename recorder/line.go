package recorder

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// WriteLine tells one event in one line, for following events on a terminal:
// when, which session, who, and what. Nothing in it can control the terminal.
func WriteLine(w io.Writer, e event.Event) error {
	u := e.Data.Head().UserIdentity
	who := cmp.Or(safe(u.Subject), "-")
	if u.Label != "" {
		who += "/" + safe(u.Label)
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s  %s\n", e.Time.UTC().Format(clock), cmp.Or(safe(e.Session()), event.NoSession), who, brief(e)+forApprovers(e))
	return err
}

// forApprovers marks what no agent did.
func forApprovers(e event.Event) string {
	if of := e.Data.Head().Enriches; of != "" {
		return " (read for the approvers of request " + safe(of) + ")"
	}
	return ""
}

func brief(e event.Event) string {
	switch d := e.Data.(type) {
	case *event.SessionOpened:
		return "session opened"
	case *event.Request:
		on := make([]string, 0, len(d.Resources))
		for _, r := range d.Resources {
			on = append(on, r.ARN)
		}
		text := "request " + safe(d.Service) + ":" + safe(d.EventName)
		if len(on) > 0 {
			text += " on " + safe(strings.Join(on, ", "))
		}
		return text
	case *event.Decision:
		text := "decision " + decided(d)
		if d.OutcomeOf != "" {
			text += ", nothing sent: the outcome of " + safe(d.OutcomeOf)
		}
		return text
	case *event.ApprovalPending:
		return "asks " + safe(askedOf(d.Approvers)) + ", approval " + safe(d.Approval)
	case *event.ApprovalOutcome:
		return "approval " + safe(d.Approval) + " " + safe(d.Outcome)
	case *event.ApprovalVote:
		return safe(d.Vote.Decision) + " by " + safe(d.Vote.Subject) + ", approval " + safe(d.Approval) + " " + safe(d.State)
	case *event.Revoked:
		return revoked(d)
	case *event.Credential:
		return "credential " + safe(d.AccessKeyID) + " of " + safe(d.RoleARN)
	case *event.Response:
		text := fmt.Sprintf("answer %d", d.Status)
		if d.ErrorCode != "" {
			text += " " + safe(d.ErrorCode)
		}
		if n := len(d.Findings) + d.FindingsOmitted; n > 0 {
			text += fmt.Sprintf(", masked in %d places", n)
		}
		return text
	case *event.Aborted:
		return "aborted " + safe(d.Stage) + ": " + safe(d.ErrorMessage)
	case *event.Refused:
		return "refused " + safe(d.ErrorCode) + ": " + safe(d.ErrorMessage)
	case *event.Body:
		return fmt.Sprintf("body of the %s, piece %d: %d bytes", safe(d.Part), d.Index, d.Size)
	case *event.Checkpoint:
		return fmt.Sprintf("checkpoint of %s up to event %d", safe(e.Source), d.UpTo)
	case *event.SessionClosed:
		return "session closed: " + safe(d.Reason)
	}
	return safe(string(e.Kind()))
}

// decided is a decision in a line: by which rules and, where people had to agree, under
// which approval or what is left of its grant. The rules alone would say that they let it
// through.
func decided(d *event.Decision) string {
	text := safe(d.Effect)
	if len(d.Rules) > 0 {
		text += " by " + safeAll(d.Rules)
	}
	if d.Approval != "" {
		text += ", approval " + safe(d.Approval)
	}
	if d.Grant != nil {
		text += fmt.Sprintf(", under its grant: %d left", d.Grant.Left)
	}
	return text
}

// revoked is a revocation in a line.
func revoked(d *event.Revoked) string {
	text := "revoked "
	if d.Lifted {
		text = "no longer revoked "
	}
	for _, p := range [][2]string{{"subject", d.Subject}, {"of", d.Issuer}, {"session", d.Session}, {"target", d.Target}} {
		if p[1] != "" {
			text += p[0] + " " + safe(p[1]) + " "
		}
	}
	if !d.Until.IsZero() {
		text += "until " + d.Until.UTC().Format(time.RFC3339) + " "
	}
	text += "(" + safe(d.Reason) + ")"
	if !d.Lifted {
		text += fmt.Sprintf(": %d sessions, %d tunnels, %d requests, %d approvals ended", d.SessionsClosed, d.TunnelsCut, d.RequestsCut, len(d.Approvals))
	}
	return text
}
