package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// Records reads a directory of records, also while a Store writes it.
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
	ids, err := r.ids()
	if err != nil {
		return nil, nil, err
	}
	var out []Summary
	var problems []Problem
	for _, id := range ids {
		sum := Summary{Session: id}
		bad, err := r.each(id, sum.add)
		if err != nil {
			problems = append(problems, Problem{File: r.Dir + "/" + id + suffix, Err: err})
			continue
		}
		problems = append(problems, bad...)
		slices.Sort(sum.Targets)
		out = append(out, sum)
	}
	slices.SortStableFunc(out, func(a, b Summary) int { return b.Last.Compare(a.Last) })
	return out, problems, nil
}

func (s *Summary) add(e event.Event) {
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
	ids, err := r.ids()
	if err != nil {
		return "", err
	}
	var found []string
	for _, id := range ids {
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
		return "", fmt.Errorf("no session begins with %.40q; `sallyport sessions list` names them", prefix)
	}
	return "", fmt.Errorf("%d sessions begin with %.40q: give more of the id", len(found), prefix)
}

// Read reads one session by its id or a unique beginning of it.
func (r Records) Read(session string) (*Session, error) {
	id, err := r.Find(session)
	if err != nil {
		return nil, err
	}
	out := &Session{ID: id}
	out.Problems, err = r.each(id, func(e event.Event) { out.Events = append(out.Events, e) })
	if err != nil {
		return nil, err
	}
	// Redelivery may have turned the file's order; ids grow as events are made.
	slices.SortStableFunc(out.Events, func(a, b event.Event) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (r Records) ids() ([]string, error) {
	entries, err := os.ReadDir(r.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	var ids []string
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if _, err := fileName(id); ok && err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (r Records) each(id string, f func(event.Event)) ([]Problem, error) {
	file, err := openFile(r.Dir, id, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var bad []Problem
	lines := 0
	_, torn, err := scan(file, func(n int, b []byte) {
		lines = n
		e, err := parseLine(b)
		if err == nil && e.Session() != id && (id != event.NoSession || e.Session() != "") {
			err = errors.New("the event belongs to another session")
		}
		if err != nil {
			bad = append(bad, Problem{File: file.Name(), Line: n, Err: err})
			return
		}
		f(e)
	})
	if err != nil {
		return bad, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	if torn {
		bad = append(bad, Problem{File: file.Name(), Line: lines + 1, Err: errors.New("the last line is incomplete: it is being written, or a crash tore it")})
	}
	return bad, nil
}
