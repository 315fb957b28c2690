package recorder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// Records reads a store, also while one writes it.
type Records struct{ Dir string }

// Summary is one session in a listing.
type Summary struct {
	Session string             `json:"session"` // "none": refused before an identity was known
	User    event.UserIdentity `json:"userIdentity"`
	First   time.Time          `json:"first"`
	Last    time.Time          `json:"last"`
	Calls   int                `json:"calls"` // requests that reached a decision
	Allowed int                `json:"allowed"`
	Denied  int                `json:"denied"`
	Asked   int                `json:"asked"`   // that people were asked about
	Refused int                `json:"refused"` // before a decision
	Masked  int                `json:"masked"`  // places masked in answers
	Targets []string           `json:"targets,omitempty"`
	Closed  bool               `json:"closed"`
}

// Session is the events of one session, in the order in which they were made.
type Session struct {
	ID       string
	Events   []event.Event
	Problems []Problem
}

// List summarises every session, the latest first. Problems do not stop it.
func (r Records) List() ([]Summary, []Problem, error) {
	by := map[string]*Summary{}
	var problems []Problem
	err := r.Entries(context.Background(), 0, func(e Entry) error {
		if e.Err != nil {
			problems = append(problems, problemOf(e))
			return nil //nolint:nilerr // damage is told, and reading goes on
		}
		if k := e.Event.Kind(); k == event.KindCheckpoint || k.OfRecorder() {
			return nil // of no session
		}
		id := sessionOf(e.Event)
		sum := by[id]
		if sum == nil {
			sum = &Summary{Session: id}
			by[id] = sum
		}
		sum.Add(e.Event)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	out := make([]Summary, 0, len(by))
	for _, sum := range by {
		if sum.Session == event.NoSession && sum.Refused == 0 {
			continue // the gateways' own events, of nobody's session
		}
		slices.Sort(sum.Targets)
		out = append(out, *sum)
	}
	slices.SortFunc(out, func(a, b Summary) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Session, a.Session))
	})
	return out, problems, nil
}

// sessionOf is the session under which an event is listed: "none" for what is in none.
func sessionOf(e event.Event) string { return cmp.Or(e.Session(), event.NoSession) }

func problemOf(e Entry) Problem {
	var p Problem
	if !errors.As(e.Err, &p) {
		p.Err = e.Err
	}
	return p
}

// Add sums an event of the session up. Events may come in any order.
func (s *Summary) Add(e event.Event) {
	h := e.Data.Head()
	if s.First.IsZero() || e.Time.Before(s.First) {
		s.First = e.Time
	}
	if e.Time.After(s.Last) {
		s.Last = e.Time
	}
	if s.User.Subject == "" && s.Session != event.NoSession {
		s.User = h.UserIdentity
	}
	if h.Enriches != "" { // no call of the agent's
		return
	}
	switch d := e.Data.(type) {
	case *event.Request:
		s.Calls++
		if d.Target != "" && !slices.Contains(s.Targets, d.Target) {
			s.Targets = append(s.Targets, d.Target)
		}
	case *event.Decision:
		switch d.Effect {
		case "allow":
			s.Allowed++
		case "deny":
			s.Denied++
		}
	case *event.ApprovalPending:
		s.Asked++
	case *event.Refused:
		s.Refused += 1 + d.Repeated
	case *event.Response:
		s.Masked += len(d.Findings) + d.FindingsOmitted
	case *event.SessionClosed:
		s.Closed = true
	}
}

// Find completes a session id from its beginning (any case), if that is unique.
func (r Records) Find(prefix string) (string, error) {
	seen := map[string]struct{}{}
	err := r.Entries(context.Background(), 0, func(e Entry) error {
		if e.Err == nil {
			seen[sessionOf(e.Event)] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	var found []string
	for id := range seen {
		if strings.EqualFold(id, prefix) {
			return id, nil
		}
		if len(prefix) > 0 && len(prefix) <= len(id) && strings.EqualFold(id[:len(prefix)], prefix) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", noSession(prefix)
	}
	return "", fmt.Errorf("%d sessions begin with %.40q: give more of the id", len(found), prefix)
}

// ErrNoSession is in the error of an id that no session's begins with.
var ErrNoSession = errors.New("no session begins with")

func noSession(prefix string) error {
	return fmt.Errorf("%w %.40q; `sallyport sessions list` names them", ErrNoSession, prefix)
}

// Read reads one session by its id or a unique beginning of it. What in the record
// cannot be read, and so could be of this session, is among its problems.
func (r Records) Read(session string) (*Session, error) {
	id := session
	if !event.ValidID(session) {
		var err error
		if id, err = r.Find(session); err != nil {
			return nil, err
		}
	}
	out, err := r.read(context.Background(), 0, math.MaxUint64, id, func(e event.Event) bool {
		return sessionOf(e) == id && e.Kind() != event.KindCheckpoint
	})
	if err != nil {
		return nil, err
	}
	if out.ID = id; len(out.Events) == 0 && len(out.Problems) == 0 {
		return nil, noSession(session)
	}
	return out, nil
}

// ReadCall reads one exchange, whose events are in the log from one index to another: its
// part of the session, or of what is in none. What between them cannot be read is among
// its problems.
func (r Records) ReadCall(ctx context.Context, exchange string, from, to uint64) (*Session, error) {
	return r.read(ctx, from, to, exchange, func(e event.Event) bool { return e.Exchange() == exchange && OfCall(e.Kind()) })
}

var errBehind = errors.New("behind what is read")

// read reads the events that are of an id, which their lines name, in the log from one
// index to another.
func (r Records) read(ctx context.Context, from, to uint64, id string, of func(event.Event) bool) (*Session, error) {
	out := &Session{ID: event.NoSession}
	err := r.lines(ctx, from, func(l rawLine) error {
		if l.index > to {
			return errBehind
		}
		if l.err == nil && !mayBeOf(l.b, id) {
			return nil
		}
		var e event.Event
		err := l.err
		if err == nil {
			if e, err = parseLine(l.b); err != nil {
				err = Problem{File: l.file, Line: l.n, Err: err}
			}
		}
		if err != nil {
			out.Problems = append(out.Problems, problemOf(Entry{Err: err}))
		} else if of(e) {
			out.ID = sessionOf(e)
			out.Events = append(out.Events, e)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errBehind) {
		return nil, err
	}
	// Redelivery may have turned the order; ids grow as events are made.
	slices.SortStableFunc(out.Events, func(a, b event.Event) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// mayBeOf is a quick look at a line: whether it can be of a session, or is so broken
// that nobody can tell. JSON writes an id as it is or with escapes.
func mayBeOf(line []byte, id string) bool {
	return id == event.NoSession || bytes.Contains(line, []byte(id)) || bytes.Contains(line, []byte(`\u`)) ||
		!bytes.HasPrefix(line, []byte("{")) || !bytes.HasSuffix(line, []byte("}"))
}
