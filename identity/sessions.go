package identity

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// CloseReason says why a session ended.
type CloseReason string

// The reasons.
const (
	ClosedIdle     CloseReason = "idle"     // nothing for Sessions.Idle
	ClosedAge      CloseReason = "age"      // Sessions.MaxAge is over
	ClosedBound    CloseReason = "bound"    // the least recently used one made room for another
	ClosedShutdown CloseReason = "shutdown" // CloseAll
	ClosedRevoked  CloseReason = "revoked"  // Revoke
)

// Session is one agent's work: (issuer, subject, label) from first use until it
// ends. Values given out are never changed afterwards.
type Session struct {
	ID      string // ULID, made here
	Issuer  string
	Subject string
	Label   string
	Groups  []string // as the token said that opened the session; decisions use the Principal's
	Started time.Time
}

// Sessions holds the open sessions. The zero value works with the defaults below.
// Fields must not change after first use.
type Sessions struct {
	Idle           time.Duration               // 0: 1 h
	MaxAge         time.Duration               // 0: 12 h
	Max            int                         // open at once; 0: 10000
	MaxPerIdentity int                         // labels one (issuer, subject) may have open; 0: 64
	Now            func() time.Time            // nil: time.Now
	OnClose        func(*Session, CloseReason) // called once per session, without a lock held; nil: nobody is told

	mu   sync.Mutex
	open map[sessionKey]*openSession
}

type sessionKey struct{ issuer, subject, label string }

type openSession struct {
	session *Session
	used    time.Time
}

type closedSession struct {
	session *Session
	reason  CloseReason
}

// Touch gives the session of p and label, opening one when there is none or when
// the last has ended, and counts as use of it. A refreshed token continues the
// session. Where a bound is reached, the least recently used session is closed:
// first among the identity's own, so that one agent cannot end others' by
// inventing labels.
func (s *Sessions) Touch(p *Principal, label string) (session *Session, opened bool) {
	now := s.now()
	key := sessionKey{p.Issuer, p.Subject, label}
	var closed []closedSession

	s.mu.Lock()
	o := s.open[key]
	if o != nil {
		if reason := s.ended(o, now); reason != "" {
			closed = append(closed, s.remove(key, reason))
			o = nil
		}
	}
	if o == nil {
		opened = true
		closed = append(closed, s.makeRoom(key, now)...)
		o = &openSession{session: &Session{
			ID:      ulid.MustNew(ulid.Timestamp(now), rand.Reader).String(),
			Issuer:  p.Issuer,
			Subject: p.Subject,
			Label:   label,
			Groups:  slices.Clone(p.Groups),
			Started: now,
		}}
		if s.open == nil {
			s.open = map[sessionKey]*openSession{}
		}
		s.open[key] = o
	}
	o.used = now
	s.mu.Unlock()

	s.tell(closed)
	return o.session, opened
}

// Sweep closes what has ended since.
func (s *Sessions) Sweep() {
	s.mu.Lock()
	closed := s.sweep(s.now())
	s.mu.Unlock()
	s.tell(closed)
}

// Run sweeps every minute until ctx ends, and then closes all sessions.
func (s *Sessions) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Sweep()
		case <-ctx.Done():
			s.CloseAll()
			return
		}
	}
}

// CloseAll closes every session, oldest first.
func (s *Sessions) CloseAll() {
	s.mu.Lock()
	var closed []closedSession
	for key := range s.open {
		closed = append(closed, s.remove(key, ClosedShutdown))
	}
	s.mu.Unlock()
	s.tell(closed)
}

// Revoke closes the sessions that match picks, oldest first, and gives them. It does
// not keep their callers from opening others.
func (s *Sessions) Revoke(match func(*Session) bool) []*Session {
	s.mu.Lock()
	var closed []closedSession
	for key, o := range s.open {
		if match(o.session) {
			closed = append(closed, s.remove(key, ClosedRevoked))
		}
	}
	s.mu.Unlock()
	s.tell(closed)
	out := make([]*Session, len(closed))
	for i, c := range closed {
		out[i] = c.session
	}
	return out
}

// Find is the open session with an id; nil when there is none.
func (s *Sessions) Find(id string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		if o.session.ID == id {
			return o.session
		}
	}
	return nil
}

// Len is the number of open sessions, ended ones not yet swept included.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// ended gives the reason why o is over, "" when it is not. Holds mu.
func (s *Sessions) ended(o *openSession, now time.Time) CloseReason {
	switch {
	case now.Sub(o.session.Started) >= cmp.Or(s.MaxAge, 12*time.Hour):
		return ClosedAge
	case now.Sub(o.used) >= cmp.Or(s.Idle, time.Hour):
		return ClosedIdle
	}
	return ""
}

// sweep removes what has ended. Holds mu.
func (s *Sessions) sweep(now time.Time) (closed []closedSession) {
	for key, o := range s.open {
		if reason := s.ended(o, now); reason != "" {
			closed = append(closed, s.remove(key, reason))
		}
	}
	return closed
}

// makeRoom keeps both bounds for one more session of key's identity. Holds mu.
// Looking at every session is paid only when one is opened.
func (s *Sessions) makeRoom(key sessionKey, now time.Time) (closed []closedSession) {
	closed = s.sweep(now)
	own := 0
	var ownOldest, oldest sessionKey
	for k, o := range s.open {
		if k.issuer == key.issuer && k.subject == key.subject {
			if own == 0 || o.used.Before(s.open[ownOldest].used) {
				ownOldest = k
			}
			own++
		}
		if s.open[oldest] == nil || o.used.Before(s.open[oldest].used) {
			oldest = k
		}
	}
	switch {
	case own >= cmp.Or(s.MaxPerIdentity, 64):
		closed = append(closed, s.remove(ownOldest, ClosedBound))
	case len(s.open) >= cmp.Or(s.Max, 10000):
		closed = append(closed, s.remove(oldest, ClosedBound))
	}
	return closed
}

// remove takes one out. Holds mu.
func (s *Sessions) remove(key sessionKey, reason CloseReason) closedSession {
	c := closedSession{s.open[key].session, reason}
	delete(s.open, key)
	return c
}

func (s *Sessions) tell(closed []closedSession) {
	slices.SortFunc(closed, func(a, b closedSession) int { return cmp.Compare(a.session.ID, b.session.ID) })
	if s.OnClose == nil {
		return
	}
	for _, c := range closed {
		s.OnClose(c.session, c.reason)
	}
}

func (s *Sessions) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
