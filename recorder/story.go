package recorder

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

const clock = "2006-01-02 15:04:05Z"

// WriteStory tells a session to a human: one block for each request. Nothing in
// the events can control the terminal. Bodies are named, and not shown.
func WriteStory(w io.Writer, s *Session) error { return WriteStoryBodies(w, s, nil) }

// WriteStoryBodies is WriteStory with all parameters, and with the first kilobytes of
// each body, which body gives by its SHA-256.
func WriteStoryBodies(w io.Writer, s *Session, body func(sha256 string) ([]byte, error)) error {
	out := bufio.NewWriter(w)
	bodies := storyBodies{get: body, shown: map[string]int{}}
	fmt.Fprintf(out, "session %s\n", safe(s.ID))
	block := "" // the exchange whose block is open
	for _, e := range sorted(s.Events) {
		if x := e.Exchange(); x != block {
			block = x
			fmt.Fprintf(out, "\n%s  %s\n", e.Time.UTC().Format(clock), title(e))
			if !e.Kind().OfRecorder() {
				who(out, e.Data.Head())
			}
			if of := e.Data.Head().Enriches; of != "" {
				line(out, "for", "the approvers of request %s: read by the gateway, the agent does not see it", safe(of))
			}
		}
		if d, ok := e.Data.(*event.Body); ok {
			bodies.tell(out, d)
			continue
		}
		most := shown
		if body != nil {
			most = math.MaxInt
		}
		tell(out, e, most)
	}
	if len(s.Problems) > 0 {
		fmt.Fprintf(out, "\n%d places of the record cannot be read:\n", len(s.Problems))
		for _, p := range s.Problems {
			fmt.Fprintf(out, "  %s\n", safe(p.Error()))
		}
	}
	return out.Flush()
}

// sorted keeps the events of one request together, requests by when they began.
func sorted(in []event.Event) []event.Event {
	var order []string
	by := map[string][]event.Event{}
	for _, e := range in {
		x := e.Exchange()
		if e.Kind() == event.KindSessionClosed {
			x += " closed" // beside session.opened it would come first
		}
		if by[x] == nil {
			order = append(order, x)
		}
		by[x] = append(by[x], e)
	}
	out := make([]event.Event, 0, len(in))
	for _, x := range order {
		out = append(out, by[x]...)
	}
	return out
}

func title(e event.Event) string {
	switch e.Kind() {
	case event.KindSessionOpened:
		return "session opened"
	case event.KindSessionClosed:
		return "session closed"
	case event.KindRevoked:
		return "revocation"
	case event.KindAlarm:
		return "ALARM of " + safe(e.Source)
	case event.KindRemoved:
		return "bodies removed by " + safe(e.Source)
	case event.KindHold:
		return "legal hold, put down by " + safe(e.Source)
	}
	return "request " + e.Exchange()
}

func line(w io.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "  %-10s  %s\n", name, fmt.Sprintf(format, args...))
}

func who(w io.Writer, h *event.Common) {
	u := h.UserIdentity
	text := cmp.Or(safe(u.Subject), "(unknown)")
	if u.Label != "" {
		text += ` as "` + safe(u.Label) + `"`
	}
	if u.Issuer != "" {
		text += " of " + safe(u.Issuer)
	}
	if len(u.Groups) > 0 {
		text += " in " + safeAll(u.Groups)
	}
	if h.SourceIPAddress != "" {
		text += " from " + safe(h.SourceIPAddress)
	}
	line(w, "who", "%s", text)
	if h.UserAgent != "" {
		line(w, "agent", "%s", safe(h.UserAgent))
	}
}

func call(w io.Writer, o event.Operation) {
	if o.EventName == "" {
		return
	}
	text := safe(o.Service) + ":" + safe(o.EventName)
	for _, s := range []string{o.AccessLevel, o.AWSRegion, o.RecipientAccountID} {
		if s != "" {
			text += ", " + safe(s)
		}
	}
	if o.Target != "" {
		text += ", target " + safe(o.Target)
	}
	line(w, "call", "%s", text)
}

func digest(w io.Writer, name string, d *event.Digest) {
	if d != nil {
		line(w, name, "%d bytes, sha256 %s", d.Size, cmp.Or(safe(d.SHA256), "(not taken)"))
	}
}

// asked tells the parameters, of which most runes.
func asked(w io.Writer, d *event.Request, most int) {
	text, err := Parameters(d)
	switch {
	case err != nil:
		line(w, "asked", "%s", safe(err.Error()))
	case text != "":
		line(w, "asked", "%s", terminal.Escape(text, most))
	default:
		digest(w, "asked", d.RequestParametersOmitted)
	}
}

// tell tells an event, and of parameters most runes.
func tell(w io.Writer, e event.Event, most int) {
	switch d := e.Data.(type) {
	case *event.Request:
		call(w, d.Operation)
		for _, r := range d.Resources {
			line(w, "on", "%s", safe(r.ARN))
		}
		if d.ResourcesOmitted > 0 {
			line(w, "on", "... and %d more", d.ResourcesOmitted)
		}
		if d.RealKeySeen {
			line(w, "warning", "the client sent a real AWS key id; it was stripped")
		}
		asked(w, d, most)
		digest(w, "body", d.RequestBody)
	case *event.Decision:
		line(w, "decision", "%s", decided(d))
		if d.OutcomeOf != "" {
			line(w, "outcome", "of request %s; nothing was sent for this one", safe(d.OutcomeOf))
		}
		if d.ErrorMessage != "" {
			line(w, "told", "%s", safe(d.ErrorMessage))
		}
	case *event.ApprovalPending:
		line(w, "asks", "%s for %s until %s", safe(askedOf(d.Approvers)), safe(d.Approval), d.Expires.UTC().Format(time.TimeOnly+"Z"))
		if d.Reason != "" {
			line(w, "said", "the agent says (untrusted): %s", terminal.Quote(d.Reason, shown))
		}
		if d.Earlier != nil {
			line(w, "warning", "the same call was let through as request %s, and its outcome is not known", safe(d.Earlier.RequestID))
		}
		enrichment(w, d.Enrichment)
	case *event.ApprovalOutcome:
		line(w, "approval", "%s %s", safe(d.Approval), safe(d.Outcome))
		votes(w, d.Approvers)
	case *event.ApprovalVote:
		line(w, "vote", "%s, then it is %s", safe(d.Approval), safe(d.State))
		votes(w, []event.Vote{d.Vote})
	case *event.Revoked:
		line(w, "operator", "%s", revoked(d))
	case *event.Credential:
		line(w, "credential", "%s of %s until %s", safe(d.AccessKeyID), safe(d.RoleARN), d.Expires.UTC().Format(time.TimeOnly+"Z"))
		if d.SessionPolicy != "" {
			line(w, "policy", "%s", safe(d.SessionPolicy))
		}
	case *event.Response:
		text := strconv.Itoa(d.Status)
		if d.ErrorCode != "" {
			text += " " + safe(d.ErrorCode)
		}
		line(w, "answer", "%s", text)
		for _, f := range d.Findings {
			line(w, "masked", "%s (%s)", safe(f.Path), safe(cmp.Or(f.Rule, f.Source)))
		}
		if d.FindingsOmitted > 0 {
			line(w, "masked", "... and %d more", d.FindingsOmitted)
		}
		digest(w, "sent", d.RequestBody)
		digest(w, "received", d.ResponseBody)
	case *event.Aborted:
		line(w, "aborted", "%s: %s %s", safe(d.Stage), safe(d.ErrorCode), safe(d.ErrorMessage))
	case *event.Refused:
		call(w, d.Operation)
		text := safe(d.ErrorCode) + ": " + safe(d.ErrorMessage)
		// A refused answer of an approver has no request, and a CONNECT only a host.
		if what := strings.TrimSpace(safe(d.Method) + " " + safe(d.Host) + safe(d.Path)); what != "" {
			text += " (" + what + ")"
		}
		line(w, "refused", "%s", text)
		if d.Repeated > 0 {
			line(w, "", "and %d times more", d.Repeated)
		}
	case *event.SessionClosed:
		line(w, "why", "%s", safe(d.Reason))
	case *event.Alarm:
		line(w, "found", "%s: %s", safe(d.Code), safe(d.Detail))
		if d.Source != "" {
			line(w, "of", "%s event %d", safe(d.Source), d.Sequence)
		}
	case *event.Removed:
		line(w, "removed", "%d bodies, %d bytes, by %s; %d stayed for a legal hold", d.Bodies, d.Bytes, safe(d.Why), d.Held)
		if d.Of != "" {
			line(w, "of", "session %s", safe(d.Of))
		}
		if d.Detail != "" {
			line(w, "asked by", "%s", safe(d.Detail))
		}
	case *event.Hold:
		line(w, cmp.Or(safe(d.Action), "?"), "for session %s, at %s", safe(d.Of), d.Asked.UTC().Format(clock))
		line(w, "asked by", "%s: %s", safe(d.By), safe(d.Reason))
	}
}

// askedOf names who must agree: "2 of sre, 1 of security".
func askedOf(needed []event.Needed) string {
	parts := make([]string, len(needed))
	for i, n := range needed {
		parts[i] = strconv.Itoa(max(n.Count, 1)) + " of " + strings.Join(n.Groups, "|")
	}
	return strings.Join(parts, " and ")
}

// enrichment is what approvers saw beside the request.
func enrichment(w io.Writer, e *event.Enrichment) {
	if e == nil {
		return
	}
	for _, d := range e.Resources {
		text := safe(d.ARN)
		if d.Name != "" {
			text += ` is "` + safe(d.Name) + `"`
		}
		for _, t := range d.Tags {
			text += ", " + safe(t.Key) + "=" + safe(t.Value)
		}
		line(w, "shown", "%s", text)
	}
	for _, n := range e.Notes {
		line(w, "not read", "%s", safe(n))
	}
}

func votes(w io.Writer, list []event.Vote) {
	for _, v := range list {
		text := safe(cmp.Or(v.Email, v.Subject)) + " of " + safe(v.Issuer) + " says " + safe(v.Decision)
		if v.Via != "" {
			text += " through " + safe(v.Via)
		}
		if v.Reason != "" {
			text += ": " + safe(v.Reason)
		}
		line(w, "", "%s", text)
	}
}

// WriteSummaries writes the table of `sessions list`.
func WriteSummaries(w io.Writer, list []Summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tWHO\tLABEL\tFIRST\tLAST\tCALLS\tALLOWED\tDENIED\tASKED\tREFUSED\tMASKED\tTARGETS")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", safe(s.Session), cmp.Or(safe(s.User.Subject), "-"), cmp.Or(safe(s.User.Label), "-"),
			s.First.UTC().Format(clock), s.Last.UTC().Format(clock), s.Calls, s.Allowed, s.Denied, s.Asked, s.Refused, s.Masked, cmp.Or(safeAll(s.Targets), "-"))
	}
	return t.Flush()
}
