package approvals

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

// What waits and what was allowed of whom is revoked leads to nothing any more, on
// every gateway; what is others' goes on.
func TestBrokerRevoke(t *testing.T) {
	all := brokers(t, 2, time.Now)
	needed := Needed{Groups: []string{"sre"}, Count: 1}
	allow := func(r Request, grant *Leave) {
		t.Helper()
		vote := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre"}, Decision: Allow}
		if _, err := all[0].change(t.Context(), r.Approval, r.Digest, func(r *Record) error { return r.Vote(vote, grant, time.Now()) }); err != nil {
			t.Fatal(err)
		}
	}
	requests := map[string]Request{}
	for i, name := range []string{"pending", "approved", "granted", "another's", "another's granted"} {
		r := liveRequest(i, needed)
		r.Extent = Extent(modelCall)
		if strings.HasPrefix(name, "another's") {
			r.Who = event.UserIdentity{Issuer: "https://idp", Subject: "other"}
		}
		requests[name] = r
		if _, err := all[0].Ask(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	allow(requests["approved"], nil)
	more := func(name string) error {
		r := requests[name]
		r.RequestID = ids.New()
		_, err := all[0].UseGrant(t.Context(), r, modelCall)
		return err
	}
	for _, name := range []string{"granted", "another's granted"} {
		allow(requests[name], &Leave{Until: time.Now().Add(time.Hour), Left: 5})
		if _, err := all[0].Claim(t.Context(), requests[name].Approval, requests[name].Digest, "x"); err != nil {
			t.Fatal(err)
		}
		if err := more(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	allow(requests["another's"], nil)
	ended, err := all[0].Revoke(t.Context(), func(r Request) bool { return r.Who.Subject == "bot" })
	want := []string{requests["pending"].Approval, requests["approved"].Approval, requests["granted"].Approval}
	slices.Sort(want)
	if err != nil || !slices.Equal(ended, want) {
		t.Errorf("ended %v %v, want %v", ended, err, want)
	}
	if err := more("granted"); !errors.Is(err, ErrNoGrant) {
		t.Errorf("a grant of whom is revoked lets through: %v", err)
	}
	if err := more("another's granted"); err != nil {
		t.Errorf("another's grant ended too: %v", err)
	}
	for name, r := range requests {
		for i, b := range all {
			if _, err := b.Claim(t.Context(), r.Approval, r.Digest, fmt.Sprint("later ", i)); (err == nil) != (name == "another's" && i == 0) {
				t.Errorf("%s on gateway %d: %v", name, i, err)
			}
		}
	}
	if again, err := all[1].Revoke(t.Context(), func(r Request) bool { return r.Who.Subject == "bot" }); err != nil || again != nil {
		t.Errorf("again %v %v", again, err)
	}
}

// A call that is let through at the moment of a revocation leaves no grant behind it,
// whether the grant begins before the revocation or after it.
func TestRevokeBeforeAGrantBegins(t *testing.T) {
	all := brokers(t, 2, time.Now)
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	r := approve(t, all[0], c, Grant{For: "10m", Count: 5})
	rec, err := all[0].change(t.Context(), r.Approval, r.Digest, func(rec *Record) error { return rec.Claim(r.RequestID, time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	got, err := all[0].Revoke(t.Context(), func(q Request) bool { return q.SessionID == r.SessionID })
	if err != nil || !slices.Equal(got, []string{r.Approval}) {
		t.Errorf("ended %v: %v", got, err)
	}
	all[0].begin(t.Context(), rec)
	for i, b := range all {
		seen(t, b, r.Approval)
		if _, err := b.UseGrant(t.Context(), again(r), c); !errors.Is(err, ErrNoGrant) {
			t.Errorf("gateway %d: it lets through: %v", i, err)
		}
	}
	if got, err := all[0].Revoke(t.Context(), func(q Request) bool { return q.SessionID == r.SessionID }); err != nil || len(got) > 0 {
		t.Errorf("ended again: %v %v", got, err)
	}
}

// A leave that comes back when its caller was revoked meanwhile is not left for after the
// lifting: the revocation found it taken.
func TestReturnOfARevokedLeave(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	for i, revoked := range []bool{false, true} {
		r := liveRequest(i, Needed{Groups: []string{"sre"}, Count: 1})
		if _, err := b.Ask(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		vote := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre"}, Decision: Allow}
		if _, err := b.change(t.Context(), r.Approval, r.Digest, func(rec *Record) error { return rec.Vote(vote, nil, time.Now()) }); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Claim(t.Context(), r.Approval, r.Digest, "x"); err != nil {
			t.Fatal(err)
		}
		if ended, err := b.Revoke(t.Context(), func(Request) bool { return revoked }); err != nil || len(ended) > 0 {
			t.Fatal(ended, err)
		}
		if err := b.Return(t.Context(), r.Approval, r.Digest, "y", func() bool { return revoked }); err == nil {
			t.Error("another's leave was returned")
		}
		if err := b.Return(t.Context(), r.Approval, r.Digest, "x", func() bool { return revoked }); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Claim(t.Context(), r.Approval, r.Digest, "z"); (err == nil) == revoked {
			t.Errorf("revoked %v: %v", revoked, err)
		}
	}
}
