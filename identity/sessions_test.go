package identity_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sallyport/sallyport/identity"
)

func principal(subject string) *identity.Principal {
	return &identity.Principal{Issuer: "https://idp.example.com", Subject: subject, Groups: []string{"g"}}
}

// closings collects what OnClose is told.
type closings struct {
	mu  sync.Mutex
	all []string
}

func (c *closings) add(s *identity.Session, r identity.CloseReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, s.Subject+"/"+s.Label+" "+string(r))
}

func (c *closings) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	slices.Sort(all)
	return all
}

func TestSessionLife(t *testing.T) {
	clk, told := newClock(), &closings{}
	s := &identity.Sessions{Now: clk.now, OnClose: told.add}
	a := principal("alice")
	first, opened := s.Touch(a, "x")
	if !opened || first.Subject != "alice" || first.Label != "x" || !first.Started.Equal(clk.now()) {
		t.Fatalf("%v %+v", opened, first)
	}
	if id, err := ulid.ParseStrict(first.ID); err != nil || !ulid.Time(id.Time()).Equal(clk.now()) {
		t.Errorf("id %q: %v", first.ID, err)
	}
	clk.add(59 * time.Minute)
	refreshed := principal("alice")
	refreshed.TokenID = "another"
	if again, opened := s.Touch(refreshed, "x"); opened || again.ID != first.ID {
		t.Error("a refreshed token opened another session")
	}
	for _, other := range []*identity.Session{
		first2(s.Touch(a, "y")), first2(s.Touch(principal("bob"), "x")),
		first2(s.Touch(&identity.Principal{Issuer: "https://other.example.com", Subject: "alice"}, "x")),
	} {
		if other.ID == first.ID {
			t.Errorf("shared with %+v", other)
		}
	}
	clk.add(time.Hour)
	idle, opened := s.Touch(a, "x")
	if !opened || idle.ID == first.ID {
		t.Error("an idle session went on")
	}
	if got := told.take(); !slices.Equal(got, []string{"alice/x idle", "alice/x idle", "alice/y idle", "bob/x idle"}) {
		t.Errorf("told %q", got)
	}
	for range 11 {
		clk.add(59 * time.Minute)
		if again, _ := s.Touch(a, "x"); again.ID != idle.ID {
			t.Fatal("a used session ended")
		}
	}
	clk.add(71 * time.Minute)
	clk.add(-12 * time.Minute) // 11 h 48 min old
	s.Touch(a, "x")
	clk.add(12 * time.Minute)
	if aged, opened := s.Touch(a, "x"); !opened || aged.ID == idle.ID {
		t.Error("a session became older than 12 h")
	}
	if got := told.take(); !slices.Equal(got, []string{"alice/x age"}) {
		t.Errorf("told %q", got)
	}
}

func first2(s *identity.Session, _ bool) *identity.Session { return s }

func TestSessionSweepAndCloseAll(t *testing.T) {
	clk, told := newClock(), &closings{}
	s := &identity.Sessions{Now: clk.now, OnClose: told.add}
	s.Touch(principal("a"), "")
	clk.add(30 * time.Minute)
	s.Touch(principal("b"), "")
	clk.add(30 * time.Minute)
	s.Sweep()
	if got := told.take(); !slices.Equal(got, []string{"a/ idle"}) || s.Len() != 1 {
		t.Errorf("told %q, %d open", got, s.Len())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Run(ctx)
	s.CloseAll()
	if got := told.take(); !slices.Equal(got, []string{"b/ shutdown"}) || s.Len() != 0 {
		t.Errorf("told %q, %d open", got, s.Len())
	}
}

func TestSessionBounds(t *testing.T) {
	clk, told := newClock(), &closings{}
	s := &identity.Sessions{Now: clk.now, OnClose: told.add, Max: 5, MaxPerIdentity: 2}
	s.Touch(principal("victim"), "v")
	for i := range 4 {
		clk.add(time.Second)
		s.Touch(principal("noisy"), fmt.Sprint(i))
	}
	// One identity inventing labels ends its own sessions, not the older one of another.
	if got := told.take(); !slices.Equal(got, []string{"noisy/0 bound", "noisy/1 bound"}) {
		t.Errorf("told %q", got)
	}
	for i := range 3 {
		clk.add(time.Second)
		s.Touch(principal(fmt.Sprint("p", i)), "")
	}
	if got := told.take(); !slices.Equal(got, []string{"victim/v bound"}) || s.Len() != 5 {
		t.Errorf("told %q, %d open", got, s.Len())
	}
}

// OnClose may use the Sessions it is told by, and parallel use opens one session.
func TestSessionsConcurrently(t *testing.T) {
	s := &identity.Sessions{}
	s.OnClose = func(*identity.Session, identity.CloseReason) { s.Len() }
	var wg sync.WaitGroup
	ids := make([]string, 32)
	for i := range ids {
		wg.Go(func() { ids[i] = first2(s.Touch(principal("a"), "l")).ID })
	}
	wg.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("ids %q", ids)
	}
	s.CloseAll()
}

func TestSessionsRevoke(t *testing.T) {
	clk, told := newClock(), &closings{}
	s := &identity.Sessions{Now: clk.now, OnClose: told.add}
	x, y, bob := first2(s.Touch(principal("alice"), "x")), first2(s.Touch(principal("alice"), "y")), first2(s.Touch(principal("bob"), "x"))
	if s.Find(y.ID) != y || s.Find("") != nil {
		t.Error("a session is not found by its id")
	}
	got := s.Revoke(func(s *identity.Session) bool { return s.Subject == "alice" })
	if !slices.Contains(got, x) || !slices.Contains(got, y) || len(got) != 2 || s.Len() != 1 {
		t.Errorf("closed %v, %d are open", got, s.Len())
	}
	if all := told.take(); !slices.Equal(all, []string{"alice/x revoked", "alice/y revoked"}) {
		t.Errorf("told %q", all)
	}
	if s.Find(x.ID) != nil || first2(s.Touch(principal("bob"), "x")) != bob {
		t.Error("the wrong sessions were closed")
	}
	if again := first2(s.Touch(principal("alice"), "x")); again.ID == x.ID {
		t.Error("a revoked session goes on")
	}
}
