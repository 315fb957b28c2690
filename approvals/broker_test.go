package approvals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
)

// brokers are gateways on one bus.
func brokers(t testing.TB, n int, now func() time.Time) []*Broker {
	t.Helper()
	srv, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	out := make([]*Broker, n)
	for i := range out {
		nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: srv})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		out[i], err = NewBroker(t.Context(), Options{
			Conn: nc, Prefix: "sallyport", Verifier: &identity.Verifier{}, MaxPending: 5, IDs: event.NewIDs(now), Source: "sallyport/test", Now: now,
			Append: func(context.Context, ...event.Event) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(out[i].Close)
	}
	return out
}

var ids = event.NewIDs(time.Now)

func liveRequest(i int, needed ...Needed) Request {
	now := time.Now()
	return Request{
		Approval: ids.New(), Digest: fmt.Sprintf("%064x", i), RequestID: ids.New(), SessionID: ids.New(),
		Who: event.UserIdentity{Issuer: "https://idp", Subject: "bot"}, Approvers: needed, Created: now, Expires: now.Add(time.Minute),
	}
}

// Three gateways, several approvers and the end of time at once, many times over:
// one terminal state, the same for all, and at most one claim.
func TestRaces(t *testing.T) {
	var late atomic.Bool
	now := func() time.Time {
		if late.Load() {
			return time.Now().Add(time.Hour)
		}
		return time.Now()
	}
	all := brokers(t, 3, now)
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	if n, err := strconv.Atoi(os.Getenv("SALLYPORT_RACE_ROUNDS")); err == nil { // make race-rounds
		rounds = n
	}
	seen := map[State]int{}
	for i := range rounds {
		late.Store(false)
		r := liveRequest(i, Needed{Groups: []string{"sre"}, Count: 2})
		near := i%5 > 2 // to the end of time: votes, claims and expiry within a millisecond of each other
		if near {
			r.Expires = time.Now().Add(3*time.Millisecond + time.Duration(i%7)*500*time.Microsecond)
		}
		if _, err := all[0].Ask(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		var claims, ends atomic.Int32
		var wait sync.WaitGroup
		for j, b := range all {
			for k, decision := range []string{Allow, Allow, Deny} {
				if decision == Deny && i%2 == 0 {
					continue
				}
				wait.Go(func() {
					_, err := b.change(t.Context(), r.Approval, r.Digest, func(rec *Record) error {
						return rec.Vote(Vote{Issuer: "https://people", Subject: fmt.Sprint(j, k), Groups: []string{"sre"}, Decision: decision}, nil, now())
					})
					if err == nil {
						ends.Add(1)
					}
				})
			}
			wait.Go(func() {
				if rec, err := b.Wait(t.Context(), r.Approval, r.Digest); err != nil || rec.State == StatePending {
					t.Errorf("%v %s", err, rec.State)
				}
				if _, err := b.Claim(t.Context(), r.Approval, r.Digest, fmt.Sprint("exchange ", j)); err == nil {
					claims.Add(1)
				}
			})
			if near {
				wait.Go(func() {
					for d := -time.Millisecond; d <= time.Millisecond; d += time.Millisecond / 2 {
						<-time.After(time.Until(r.Expires.Add(d)))
						b.Sweep(t.Context())
					}
				})
			}
			if i%5 == 0 {
				wait.Go(func() { late.Store(true); b.Sweep(t.Context()) })
			}
		}
		wait.Wait()
		rec, _, err := all[0].store.get(t.Context(), r.Digest)
		if err != nil {
			t.Fatal(err)
		}
		seen[rec.State]++
		tooLate := near && rec.State == StateUsed && !rec.UsedAt.Before(r.Expires)
		if n := claims.Load(); n > 1 || tooLate || n == 1 != (rec.State == StateUsed) {
			t.Fatalf("%d claims, and it is %s", n, rec.State)
		}
	}
	t.Log(seen)
}

// What cannot be announced waits for nobody.
func TestUnannounced(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	broken := errors.New("no record")
	b.o.Append = func(context.Context, ...event.Event) error { return broken }
	r := liveRequest(1, Needed{Groups: []string{"sre"}})
	if _, err := b.Ask(t.Context(), r); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	rec, _, err := b.store.get(t.Context(), r.Digest)
	if err != nil || rec.State != StateCancelled {
		t.Errorf("%s %v", rec.State, err)
	}
}

// Other approvers than those who were asked: the old approval lets nothing through.
func TestOtherApproversAskAnew(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	first := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	if _, err := b.Ask(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	vote := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre", "security"}, Decision: Allow}
	if _, err := b.change(t.Context(), first.Approval, first.Digest, func(r *Record) error { return r.Vote(vote, nil, time.Now()) }); err != nil {
		t.Fatal(err)
	}
	second := liveRequest(1, Needed{Groups: []string{"security"}, Count: 1})
	rec, err := b.Ask(t.Context(), second)
	if err != nil || rec.State != StatePending || rec.Request.Approval != second.Approval {
		t.Errorf("%+v %v", rec, err)
	}
	if _, err := b.Claim(t.Context(), first.Approval, first.Digest, "x"); err == nil {
		t.Error("the replaced approval was claimed")
	}
}

// What no gateway wrote says nothing, and stands in nobody's way.
func TestDamagedRecord(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	r := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	for _, text := range []string{"x", `{"specversion":"1.0","data":{}}`, `{"state":"approved","request":{"digest":"` + strings.Repeat("ab", 32) + `"}}`, `{"state":"approved"}`} {
		if _, err := b.store.kv.Put(t.Context(), r.Digest, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Claim(t.Context(), "", r.Digest, "x"); err == nil {
			t.Errorf("%s was claimed", text)
		}
		if rec, err := b.Ask(t.Context(), r); err != nil || rec.State != StatePending {
			t.Errorf("%s: %s %v", text, rec.State, err)
		}
	}
}

// A record lets through only the call that it is of.
func TestRecordOfAnotherCall(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	r := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	text, err := json.Marshal(Record{Request: r, State: StateApproved})
	if err != nil {
		t.Fatal(err)
	}
	other := fmt.Sprintf("%064x", 2)
	if _, err := b.store.kv.Put(t.Context(), other, text); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Claim(t.Context(), r.Approval, other, "x"); err == nil {
		t.Error("it was claimed for another")
	}
}

func FuzzParseAnswer(f *testing.F) {
	const id = "01J0000000000000000000000A"
	digest := strings.Repeat("ab", 32)
	f.Add([]byte(`{"approval":"` + id + `","digest":"` + digest + `","decision":"allow","token":"t","reason":"r","grant":{"for":"15m","count":3}}`))
	f.Add([]byte(`{"approval":"` + id + `","digest":"` + digest + `","decision":"deny","token":"t"}{}`))
	f.Add([]byte(`{"approval":"` + id + `","digest":"` + digest + `","decision":"allow","token":"t","grant":{"for":"15m","count":3,"actions":["ec2:Stop*"],"resources":["arn:aws:ec2:eu-west-1:111122223333:instance/*"]}}`))
	f.Add([]byte(`{"approval":"` + id + `","digest":"` + digest + `","decision":"revoke","token":"t"}`))
	f.Add([]byte(`null`))
	f.Add([]byte("{\"decision\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnswer(b, id)
		if err != nil {
			if a.Token != "" && bytes.Contains([]byte(err.Error()), []byte(a.Token)) {
				t.Error("the error shows the token")
			}
			return
		}
		if a.Approval != id || len(a.Digest) != 64 || a.Token == "" || a.Decision != Allow && a.Decision != Deny && a.Decision != Revoke || len(a.Reason) > MaxReason || len(b) > MaxAnswer {
			t.Errorf("%q was taken", b)
		}
	})
}

// BenchmarkAnswerToResume is from a vote to the return of Claim in a request that
// waited for it on another gateway, while so many wait, on an embedded server that syncs
// every write.
func BenchmarkAnswerToResume(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("held=%d", n), func(b *testing.B) { resume(b, n) })
	}
}

func resume(b *testing.B, n int) {
	all := brokers(b, 2, time.Now)
	var others sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	defer others.Wait()
	defer cancel()
	for i := range n - 1 {
		r := flood(i, fmt.Sprint("agent-", i))
		r.Expires = time.Now().Add(time.Hour)
		rec := NewRecord(r)
		rec.Announced = true
		if _, err := all[0].store.put(b.Context(), rec, 0); err != nil {
			b.Fatal(err)
		}
		others.Go(func() { _, _ = all[0].Wait(ctx, r.Approval, r.Digest) })
	}
	var took []time.Duration
	for i := n; b.Loop(); i++ {
		b.StopTimer()
		r := liveRequest(i, Needed{Groups: []string{"sre"}, Count: 1})
		if _, err := all[0].Ask(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		resumed := make(chan error, 1)
		go func() {
			_, err := all[0].Wait(b.Context(), r.Approval, r.Digest)
			if err == nil {
				_, err = all[0].Claim(b.Context(), r.Approval, r.Digest, "x")
			}
			resumed <- err
		}()
		for known := false; !known; _, _, known = all[1].seen(r.Digest, r.Approval) {
			runtime.Gosched() // people take longer than this to read it
		}
		b.StartTimer()
		start := time.Now()
		vote := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre"}, Decision: Allow}
		if _, err := all[1].change(b.Context(), r.Approval, r.Digest, func(r *Record) error { return r.Vote(vote, nil, time.Now()) }); err != nil {
			b.Fatal(err)
		}
		if err := <-resumed; err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// An answer that two readers could read as two is none.
func TestAnswerSaysOneThing(t *testing.T) {
	const id = "01J0000000000000000000000A"
	good := `{"approval":"` + id + `","digest":"` + strings.Repeat("ab", 32) + `","decision":"deny","token":"t","reason":"r"`
	if a, err := ParseAnswer([]byte(good+"} \n"), id); err != nil || a.Decision != Deny {
		t.Fatal(a, err)
	}
	for _, bad := range []string{`,"decision":"allow"}`, `,"Decision":"allow"}`, `,"grant":{"for":"1m","count":2,"count":3}}`, `,"until":1}`, `}{}`, `}x`, "} \x00", ``, "\xef\xbb\xbf" + `}`} {
		if a, err := ParseAnswer([]byte(good+bad), id); err == nil {
			t.Errorf("%s was taken as %+v", bad, a)
		}
	}
	for _, bad := range []string{strings.ReplaceAll(good, "decision", "DECISION") + "}", strings.ReplaceAll(good, `"r"`, "\"\xff\"") + "}", "[" + good + "}]", "null"} {
		if a, err := ParseAnswer([]byte(bad), id); err == nil {
			t.Errorf("%q was taken as %+v", bad, a)
		}
	}
	for _, bad := range []string{`{"code":"ABCDABCDABCDABCD","token":"a","token":"b"}`, `{"code":"ABCDABCDABCDABCD","Token":"a"}`} {
		if r, err := ParseRedemption([]byte(bad)); err == nil {
			t.Errorf("%s was taken as %+v", bad, r)
		}
	}
}
