package approvals

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/policy"
)

// Grant widens an allow beyond one call: for a while, calls of the same session go
// through without asking anew. Without Actions and Resources these are the calls that
// do the same to the same (Request.Extent), whatever their other parameters are. With
// them, which belong together, they are the calls that need only these actions on
// only these resources. GrantRecord says what holds of either.
type Grant struct {
	For       string   `json:"for"`                 // a Go duration: 15m; at most MaxGrant
	Count     int      `json:"count"`               // how many calls in all, that which is asked for among them; 1 to MaxGrantCount
	Actions   []string `json:"actions,omitempty"`   // IAM actions with globs, at most policy.MaxCover
	Resources []string `json:"resources,omitempty"` // ARNs with globs, at most policy.MaxCover
}

// MaxGrant and MaxGrantCount bound a grant.
const (
	MaxGrant      = time.Hour
	MaxGrantCount = 100
)

// DefaultGrant is what a medium offers at one key.
var DefaultGrant = Grant{For: "15m", Count: 20}

// Leave is what approvers left beyond one call: a Grant whose time runs.
type Leave struct {
	Until     time.Time `json:"until"`
	Left      int       `json:"left"` // calls
	Actions   []string  `json:"actions,omitempty"`
	Resources []string  `json:"resources,omitempty"`
}

// leave turns what an approver asked for into what it leaves from now on.
func (g *Grant) leave(now time.Time) (*Leave, error) {
	if g == nil {
		return nil, nil
	}
	d, err := time.ParseDuration(g.For)
	if err != nil || d <= 0 || d > MaxGrant || g.Count < 1 || g.Count > MaxGrantCount {
		return nil, fmt.Errorf("a grant is for up to %s, such as 15m, and for 1 to %d calls", MaxGrant, MaxGrantCount)
	}
	return &Leave{Until: now.Add(d), Left: g.Count, Actions: g.Actions, Resources: g.Resources}, nil
}

// Fits reports why a grant may not be given with a request, or nil. A gateway says
// the same; who asks before sending can mend it.
func (g Grant) Fits(r Request) error {
	l, err := g.leave(r.Created)
	if err != nil {
		return err
	}
	return l.fits(&r)
}

// fits refuses what an approver could not have seen the whole of.
func (l *Leave) fits(r *Request) error {
	switch {
	case l == nil:
		return nil
	case len(r.Resources) > maxShown || r.ResourcesOmitted > 0:
		return errors.New("a grant is not possible: this call is on more resources than are shown")
	case len(l.Actions) == 0 && len(l.Resources) == 0:
		if r.Extent == "" {
			return errors.New("a grant for the same again is not possible: this call does not name everything that it acts on, so it would be for anything. Approve it once, or name actions and resources")
		}
		return nil
	}
	cover, err := policy.NewCover(r.Account, l.Actions, l.Resources)
	if err != nil {
		return fmt.Errorf("the grant is refused: %w", err)
	}
	arns := make([]string, len(r.Resources))
	for i, res := range r.Resources {
		arns[i] = res.ARN
	}
	if err := cover.CoversShown(r.Actions, arns); err != nil {
		return fmt.Errorf("the grant is refused: %w", err)
	}
	return nil
}

// narrower is what two approvers both leave. Of two that name different globs it is
// the same again alone, which both have in it, since neither was taken without the
// call that is asked for; where that is not possible it is nothing.
func (r *Request) narrower(a, b *Leave) *Leave {
	if a == nil || b == nil {
		return nil
	}
	out := *a
	if b.Until.Before(out.Until) {
		out.Until = b.Until
	}
	out.Left = min(out.Left, b.Left)
	if !sameGlobs(lower(a.Actions), lower(b.Actions)) || !sameGlobs(a.Resources, b.Resources) {
		out.Actions, out.Resources = nil, nil
		if r.Extent == "" {
			return nil
		}
	}
	return &out
}

func lower(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ToLower(s)
	}
	return out
}

func sameGlobs(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// grant is l as it was given at a time, for those who are told of it.
func (l *Leave) grant(at time.Time) *Grant {
	if l == nil {
		return nil
	}
	return &Grant{For: l.Until.Sub(at).Round(time.Second).String(), Count: l.Left, Actions: l.Actions, Resources: l.Resources}
}

// Words says what a grant lets through, to whoever is about to give it with r. What
// they read is the whole of it: GrantRecord lets nothing else through.
func (g Grant) Words(r Request) string {
	d, err := time.ParseDuration(g.For)
	if err != nil {
		return "nothing: " + name(g.For) + " is no duration"
	}
	calls := fmt.Sprintf("at most %d calls of this session, this one among them, none riskier than it", g.Count)
	if g.Count == 1 {
		calls = "only this call"
	}
	out := "for " + minutes(d) + ", " + calls + ": "
	if len(g.Actions) == 0 && len(g.Resources) == 0 {
		return out + "the same operation on the same resources (" + what(r) + where(r) + "); other parameters may differ"
	}
	return out + "any operation" + where(r) + ", that needs no more than " + list(g.Actions, policy.MaxCover, whole) + " on " + list(g.Resources, policy.MaxCover, whole) + "; all parameters may differ"
}

// whole quotes a glob to its end: what is cut off could be anything. policy bounds it.
func whole(s string) string { return terminal.Quote(s, maxGlob) }

const maxGlob = 512

// minutes is a duration in the words of people.
func minutes(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "1 hour"
	case d == time.Minute:
		return "1 minute"
	case d > 0 && d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}
