package reconcile

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options say what is compared.
type Options struct {
	Roles []string // ARNs of the roles that only the gateway may assume; required
	// Grace is how late CloudTrail may be: calls later than its last event less Grace
	// are not missed. CloudTrail delivers within about 5 minutes (user guide); 0 is none.
	Grace time.Duration
	Data  bool // calls that CloudTrail logs as data events only are missed too
	// From and To are the time that CloudTrail's files span, by the events of anybody: calls
	// in it are missed also where the roles have no event at all. Zero: by the events given.
	From, To time.Time
}

// Finding is one thing that does not fit.
type Finding struct {
	Trail *Trail `json:"trail,omitempty"` // nil for a missing one
	Call  *Call  `json:"call,omitempty"`  // nil where no call of ours is near
	Why   string `json:"why"`             // one sentence
}

// Report is the outcome of a comparison.
type Report struct {
	Bypasses  []Finding `json:"bypasses"`      // CloudTrail has it, no record explains it
	Disagree  []Finding `json:"disagree"`      // both have it, and say different things
	Missing   []Finding `json:"missing"`       // the record has it, CloudTrail has not
	Explained int       `json:"explained"`     // events of our roles that a record explains
	OnBehalf  int       `json:"onBehalf"`      // of them, what services did with the leave of a call of ours
	Others    int       `json:"others"`        // events of other roles, and of none
	Damaged   int       `json:"damaged"`       // entries that are no events; whoever reads the files counts them
	Unseen    []string  `json:"unseen"`        // roles of which there is no event: nothing was looked at, if the name is wrong
	Unlogged  int       `json:"unlogged"`      // calls that CloudTrail logs only as data events, not looked for
	From      time.Time `json:"from,omitzero"` // what the files span
	To        time.Time `json:"to,omitzero"`
}

// Span takes the time of one more event.
func (o *Options) Span(t time.Time) {
	if o.From.IsZero() || t.Before(o.From) {
		o.From = t
	}
	if t.After(o.To) {
		o.To = t
	}
}

// assumed is the ARN of an assumed role's session.
var assumed = regexp.MustCompile(`^arn:([^:]+):sts::(\d{12}):assumed-role/([^/]+)/([^/]+)$`)

// Ours reports an event of a role's: done with its credentials, or assuming it.
func Ours(t *Trail, roles []string) bool {
	if slices.Contains(roles, t.UserIdentity.SessionContext.SessionIssuer.ARN) || slices.Contains(roles, t.RequestParameters.RoleARN) {
		return true
	}
	m := assumed.FindStringSubmatch(t.UserIdentity.ARN)
	return m != nil && slices.ContainsFunc(roles, func(role string) bool {
		// An assumed role's ARN has the role's name without its path.
		return strings.HasPrefix(role, "arn:"+m[1]+":iam::"+m[2]+":role/") && role[strings.LastIndexByte(role, '/')+1:] == m[3]
	})
}

func (t *Trail) session() string {
	if m := assumed.FindStringSubmatch(t.UserIdentity.ARN); m != nil {
		return m[4]
	}
	return ""
}

func (t *Trail) assumes() bool {
	return t.EventSource == "sts.amazonaws.com" && strings.HasPrefix(t.EventName, "AssumeRole")
}

// join is the state of one comparison. An event explains itself by one call, and a
// call explains one event: a credential that is used twice shows.
type join struct {
	calls     *Calls
	byAWS     map[string]*Call
	byKey     map[string][]*Call
	seen      map[*Call]bool // an event of it was found
	minted    map[string]int // access key ids that AssumeRole events gave out
	bySession map[string]*Call
	r         *Report
}

// Compare holds events of CloudTrail's against calls.
func Compare(trail []Trail, calls *Calls, o Options) *Report {
	j := &join{calls: calls, byAWS: map[string]*Call{}, byKey: map[string][]*Call{}, seen: map[*Call]bool{}, minted: map[string]int{}, bySession: map[string]*Call{},
		r: &Report{Bypasses: []Finding{}, Disagree: []Finding{}, Missing: []Finding{}, Unseen: []string{}}}
	for _, c := range calls.sorted() {
		if c.AWSRequestID != "" {
			j.byAWS[c.AWSRequestID] = c
		}
		if c.AccessKeyID != "" {
			j.byKey[c.AccessKeyID] = append(j.byKey[c.AccessKeyID], c)
		}
		if c.SessionName != "" {
			j.bySession[c.SessionName] = c
		}
	}
	var ours []*Trail
	for i := range trail {
		if t := &trail[i]; !Ours(t, o.Roles) || t.Category == "Insight" || t.EventType == "AwsServiceEvent" {
			j.r.Others++
		} else {
			ours = append(ours, t)
		}
	}
	for _, role := range o.Roles {
		if !slices.ContainsFunc(ours, func(t *Trail) bool { return Ours(t, []string{role}) }) {
			j.r.Unseen = append(j.r.Unseen, role)
		}
	}
	ours = once(ours)
	slices.SortStableFunc(ours, func(a, b *Trail) int { return a.EventTime.Compare(b.EventTime) })
	if o.From.IsZero() {
		for _, t := range trail {
			o.Span(t.EventTime)
		}
	}
	j.r.From, j.r.To = o.From, o.To
	var rest []*Trail
	for _, t := range ours { // what names its call first, so that nothing else takes it
		if c := j.byAWS[t.RequestID]; t.RequestID != "" && c != nil && !t.assumes() {
			j.named(t, c)
		} else {
			rest = append(rest, t)
		}
	}
	for _, t := range rest {
		if t.assumes() {
			j.assume(t)
		} else {
			j.unnamed(t)
		}
	}
	j.missing(o)
	return j.r
}

// once leaves out the copies of an event: two trails deliver it under one id, and where
// two accounts have a part in it, each gets one under an id of its own. That which names
// more stays. What has an id and says something else is no copy.
func once(events []*Trail) []*Trail {
	type key struct{ id, shared, request, source, name, by, issued string }
	at := map[key]int{}
	var out []*Trail
	for _, t := range events {
		var keys []key
		if t.EventID != "" {
			keys = append(keys, key{t.EventID, "", t.RequestID, t.EventSource, t.EventName, t.UserIdentity.AccessKeyID, t.IssuedKeyID})
		}
		if t.SharedID != "" && t.RequestID != "" {
			keys = append(keys, key{shared: t.SharedID, request: t.RequestID, source: t.EventSource, name: t.EventName})
		}
		i := slices.IndexFunc(keys, func(k key) bool { _, there := at[k]; return there })
		if i < 0 {
			for _, k := range keys {
				at[k] = len(out)
			}
			out = append(out, t)
			continue
		}
		if kept := &out[at[keys[i]]]; (*kept).IssuedKeyID+(*kept).UserIdentity.AccessKeyID == "" {
			*kept = t
		}
	}
	return out
}

// named is an event with the request id of a call.
func (j *join) named(t *Trail, c *Call) {
	switch {
	case j.seen[c]:
		j.bypass(t, c, "CloudTrail has this call twice under one request id")
	case t.UserIdentity.AccessKeyID != c.AccessKeyID:
		j.seen[c] = true
		j.r.Disagree = append(j.r.Disagree, Finding{t, c, "CloudTrail names another access key than the one that was minted for this call"})
	case !sameName(t, c):
		j.seen[c] = true
		j.r.Disagree = append(j.r.Disagree, Finding{t, c, "CloudTrail names another operation than the one that was judged"})
	default:
		j.seen[c] = true
		j.r.Explained++
	}
}

// unnamed is an event whose request id no call has: of a call whose answer never
// came, or none of ours.
func (j *join) unnamed(t *Trail) {
	if service(t.UserIdentity.InvokedBy) {
		if c := j.bySession[t.session()]; c != nil {
			j.r.Explained++
			j.r.OnBehalf++
			return
		}
	}
	candidates := j.byKey[t.UserIdentity.AccessKeyID]
	if t.UserIdentity.AccessKeyID == "" || len(candidates) == 0 {
		why := "its access key was never minted by the gateway"
		if t.UserIdentity.AccessKeyID == "" {
			why = "it names no access key, and no record has its request id"
		}
		j.bypass(t, j.bySession[t.session()], why)
		return
	}
	for _, c := range candidates {
		if !j.seen[c] && c.AWSRequestID == "" && sameName(t, c) {
			j.seen[c] = true
			j.r.Explained++
			return
		}
	}
	j.bypass(t, candidates[0], "the credential of this request was used for something else: it has left the gateway")
}

// service reports a caller that is a service of AWS's, acting with forward access
// sessions for the one who called it.
func service(invokedBy string) bool { return strings.HasSuffix(invokedBy, ".amazonaws.com") }

// assume is somebody assuming one of our roles.
func (j *join) assume(t *Trail) {
	if t.ErrorCode != "" { // it gave out nothing
		j.r.Explained++
		return
	}
	if len(j.byKey[t.IssuedKeyID]) == 0 {
		j.bypass(t, nil, "somebody else assumed this role: the gateway has no record of the credential")
		return
	}
	if j.minted[t.IssuedKeyID]++; j.minted[t.IssuedKeyID] > 1 {
		j.bypass(t, j.byKey[t.IssuedKeyID][0], "CloudTrail has the minting of this credential twice")
		return
	}
	j.r.Explained++
}

func (j *join) bypass(t *Trail, c *Call, why string) {
	j.r.Bypasses = append(j.r.Bypasses, Finding{t, c, why})
}

// missing is what was sent and CloudTrail does not know.
func (j *join) missing(o Options) {
	for _, c := range j.calls.sorted() {
		switch {
		case j.seen[c] || !c.Sent || c.Status == 0 || j.r.From.IsZero():
		case c.Time.Before(j.r.From) || c.Time.After(j.r.To.Add(-o.Grace)):
		case !o.Data && dataEvent(c):
			j.r.Unlogged++
		default:
			j.r.Missing = append(j.r.Missing, Finding{nil, c, "AWS answered this call, and CloudTrail has no event of it"})
		}
	}
}

func (c *Calls) sorted() []*Call {
	out := make([]*Call, 0, len(c.by))
	for _, call := range c.by {
		out = append(out, call)
	}
	slices.SortFunc(out, func(a, b *Call) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
