package index

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/match"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world makes a random record of sessions and calls.
type world struct {
	r      *rand.Rand
	now    time.Time
	ids    *event.IDs
	events []event.Event
}

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 1)), now: at}
	w.ids = event.NewIDs(func() time.Time { return w.now })
	return w
}

func pick[T any](w *world, from ...T) T { return from[w.r.IntN(len(from))] }

func (w *world) add(d event.Data) {
	w.now = w.now.Add(time.Duration(w.r.IntN(2000)) * time.Millisecond)
	d.Head().EventTime = w.now
	w.events = append(w.events, event.Event{ID: w.ids.New(), Source: "sallyport/x", Time: w.now, Data: d})
}

// session makes a session of n calls, each of a random end.
func (w *world) session(n int) {
	c := event.Common{SessionID: w.ids.New(), EventTime: w.now, UserIdentity: event.UserIdentity{
		Issuer: "https://idp.example", Subject: pick(w, "ci-agent", "alice", "bob[1]"), Groups: []string{"ai-agents"}, Label: pick(w, "", "nightly", "deploy")}}
	w.add(&event.SessionOpened{Common: c})
	for range n {
		w.call(c)
	}
	if w.r.IntN(2) == 0 {
		w.add(&event.SessionClosed{Common: c, Reason: "idle"})
	}
}

func (w *world) call(c event.Common) {
	c.RequestID = w.ids.New()
	service, op := pick(w, "ec2", "s3"), pick(w, "DescribeInstances", "TerminateInstances", "GetObject")
	o := event.Operation{EventSource: service + ".amazonaws.com", EventName: op, AWSRegion: "eu-west-1", RecipientAccountID: pick(w, "111122223333", "444455556666"),
		Service: service, Actions: []string{service + ":" + op}, AccessLevel: "Write", Target: pick(w, "dev", "prod")}
	if w.r.IntN(10) == 0 {
		w.add(&event.Refused{Common: pick(w, c, event.Common{RequestID: c.RequestID}), ErrorCode: "malformed", Status: 400, Repeated: w.r.IntN(3)})
		return
	}
	q := &event.Request{Common: c, Operation: o}
	for range w.r.IntN(3) {
		q.Resources = append(q.Resources, event.Resource{ARN: fmt.Sprintf("arn:aws:%s:::thing/%d", service, w.r.IntN(20))})
	}
	w.add(q)
	d := &event.Decision{Common: c, Operation: o, Effect: "allow", Rules: []string{"r"}, Risk: &event.Risk{Score: w.r.IntN(100)}}
	switch w.r.IntN(6) {
	case 0:
		d.Effect, d.ErrorCode = "deny", "denied"
		w.add(d)
		return
	case 1:
		d.Effect, d.ErrorCode, d.Approval = "deny", "denied", w.ids.New()
		w.add(d)
		return
	case 2:
		d.Effect, d.ErrorCode, d.Approval = "ask", "pending", w.ids.New()
		w.add(&event.ApprovalPending{Common: c, Operation: o, Approval: d.Approval, RoleARN: "r", Approvers: []event.Needed{{Groups: []string{"sre"}, Count: 1}}, Created: w.now, Expires: w.now})
		w.add(d)
		return
	case 3:
		d.Approval, d.Approvers = w.ids.New(), []event.Vote{{Issuer: "i", Subject: "carol", Email: "carol@example.com", Decision: "allow", At: w.now}}
	}
	w.add(d)
	w.add(&event.Credential{Common: c, RoleARN: "r", AccessKeyID: "ASIA" + c.RequestID[10:]})
	switch w.r.IntN(8) {
	case 0: // still open
	case 1:
		w.add(&event.Aborted{Common: c, Stage: "send", ErrorCode: "unavailable"})
	case 2:
		w.add(&event.Response{Common: c, Status: 200})
		w.add(&event.Aborted{Common: c, Stage: "answer", ErrorCode: "unavailable"})
	case 3:
		w.add(&event.Response{Common: c, Status: 404, ErrorCode: "NoSuchKey", AWSRequestID: "r"})
	default:
		w.add(&event.Response{Common: c, Status: 200, AWSRequestID: "r", Findings: []event.Finding{{Path: "p", Source: "aws"}}})
	}
}

// record writes events into a store.
func record(t testing.TB, dir string, events []event.Event) recorder.Records {
	t.Helper()
	s, err := recorder.OpenStore(recorder.StoreOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(events, 500) {
		batch := make([]recorder.Record, len(part))
		for i, e := range part {
			m, err := event.EncodeMessage(e, event.DefaultLimit)
			if err != nil {
				t.Fatal(err)
			}
			batch[i] = recorder.Record{Session: cmp.Or(e.Session(), event.NoSession), MsgID: e.ID, Header: m.Header, Payload: m.Payload}
		}
		if err := s.Append(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return recorder.Records{Dir: dir}
}

func openIndex(t testing.TB, r recorder.Records) *Index {
	t.Helper()
	x, err := Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// naive is what a query chooses, by looking at every call.
func naive(events []event.Event, q Query) (calls, sessions []string) {
	seen := map[string]bool{}
	all := recorder.Gather(events)
	slices.SortFunc(all, func(a, b *recorder.Call) int {
		return cmp.Or(b.Time().Compare(a.Time()), cmp.Compare(b.ID, a.ID))
	})
	glob := func(text, g string) bool { return g == "" || match.Match(text, g) }
	for _, c := range all {
		h, o := c.Head(), c.Operation()
		action := q.Action == "" || slices.ContainsFunc(o.Actions, func(a string) bool { return match.Match(strings.ToLower(a), strings.ToLower(q.Action)) })
		resource := q.Resource == "" || c.Request != nil && slices.ContainsFunc(c.Request.Resources, func(r event.Resource) bool { return match.Match(r.ARN, q.Resource) })
		if (q.Since.IsZero() || !c.Time().Before(q.Since)) && (q.Until.IsZero() || c.Time().Before(q.Until)) &&
			(q.Session == "" || cmp.Or(c.Session, event.NoSession) == q.Session) && glob(h.UserIdentity.Subject, q.Subject) && glob(h.UserIdentity.Label, q.Label) &&
			glob(o.Target, q.Target) && (q.Account == "" || o.RecipientAccountID == q.Account) && action && resource && (len(q.Results) == 0 || slices.Contains(q.Results, c.Result())) {
			calls = append(calls, c.ID+" "+string(c.Result()))
			if id := cmp.Or(c.Session, event.NoSession); !seen[id] {
				seen[id] = true
				sessions = append(sessions, id)
			}
		}
	}
	slices.Sort(sessions)
	return calls, sessions
}

func queries(w *world) []Query {
	mid := at.Add(w.now.Sub(at) / 2)
	return []Query{
		{Since: mid}, {Until: mid}, {Since: at.Add(time.Minute), Until: mid}, {Subject: "alice"}, {Subject: "*i*"}, {Subject: "bob[?]"}, {Subject: "bob[1]"}, {Label: "nightly"}, {Label: "n?ghtly"},
		{Target: "prod"}, {Account: "444455556666"}, {Action: "EC2:terminate*"}, {Action: "*"}, {Action: "nothing"}, {Resource: "arn:aws:s3:::thing/1?"}, {Resource: "*"},
		{Results: []recorder.Result{recorder.ResultDenied, recorder.ResultRejected}}, {Results: []recorder.Result{recorder.ResultOpen}}, {Session: event.NoSession}, {Session: w.events[0].Session()},
		{Action: "s3:*", Results: []recorder.Result{recorder.ResultOK}, Target: "dev", Subject: "ci-agent"}, {Subject: "' OR 1=1 --"},
	}
}

// The index answers as a look at every event would, however the log got into it.
func TestAnswers(t *testing.T) {
	for seed := range uint64(3) {
		w := newWorld(seed)
		for range 12 {
			w.session(w.r.IntN(25))
		}
		dir := filepath.Join(t.TempDir(), "records")
		for part := w.events; len(part) > 0; { // in pieces, with the index between them
			n := min(1+w.r.IntN(400), len(part))
			r := record(t, dir, part[:n])
			part = part[n:]
			if x, err := Open(t.Context(), r); err != nil {
				t.Fatal(err)
			} else if err := x.Close(); err != nil {
				t.Fatal(err)
			}
		}
		x := openIndex(t, recorder.Records{Dir: dir})
		if x.inMemory(t) {
			t.Fatal("the index is not in its file")
		}
		for _, q := range append(queries(w), Query{}) {
			wantCalls, wantSessions := naive(w.events, q)
			calls, err := x.Calls(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range calls {
				got = append(got, c.ID+" "+string(c.Result))
			}
			if !slices.Equal(got, wantCalls) {
				t.Errorf("seed %d, %+v: %d calls, want %d", seed, q, len(got), len(wantCalls))
			}
			spans, err := x.Spans(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(spans, calls, func(s Span, c Call) bool { return s == Span{ID: c.ID, From: c.From, To: c.To} }) {
				t.Errorf("seed %d, %+v: %d spans of %d calls, or others", seed, q, len(spans), len(calls))
			}
			sessions, err := x.Sessions(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, s := range sessions {
				got = append(got, s.Session)
			}
			if slices.Sort(got); fmt.Sprint(q) != fmt.Sprint(Query{}) && !slices.Equal(got, wantSessions) {
				t.Errorf("seed %d, %+v: sessions %v, want %v", seed, q, got, wantSessions)
			}
		}
	}
}

func (x *Index) inMemory(t testing.TB) bool {
	t.Helper()
	var file string
	if err := x.db.QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		t.Fatal(err)
	}
	return file == ""
}

// Sessions are summed up as the record itself does.
func TestSummaries(t *testing.T) {
	w := newWorld(7)
	for range 8 {
		w.session(w.r.IntN(20))
	}
	// The gateways' own events go on, and are no call of whoever had no identity. That one
	// is not signed makes the recorder write some of its own.
	w.add(&event.Refused{Common: event.Common{RequestID: w.ids.New()}, ErrorCode: "malformed", Status: 400})
	w.now = w.now.Add(time.Hour)
	w.add(&event.Checkpoint{Common: event.Common{RequestID: w.ids.New()}, UpTo: 1, Digest: event.NoDigest, PublicKey: make([]byte, 32), Signature: make([]byte, 64)})
	w.session(3)
	r := record(t, filepath.Join(t.TempDir(), "records"), w.events)
	want, _, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	got, err := openIndex(t, r).Sessions(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d sessions, want %d", len(got), len(want))
	}
	for i, s := range got {
		a := fmt.Sprint(s.Session, s.User, s.First, s.Last, s.Calls, s.Allowed, s.Denied, s.Asked, s.Refused, s.Masked, s.Targets, s.Closed)
		b := fmt.Sprint(want[i].Session, want[i].User, want[i].First.UTC(), want[i].Last.UTC(), want[i].Calls, want[i].Allowed, want[i].Denied, want[i].Asked, want[i].Refused, want[i].Masked, want[i].Targets, want[i].Closed)
		if a != b {
			t.Errorf("%s\nwant %s", a, b)
		}
	}
}

// A limit takes the latest.
func TestLimit(t *testing.T) {
	w := newWorld(3)
	w.session(30)
	x := openIndex(t, record(t, filepath.Join(t.TempDir(), "records"), w.events))
	all, err := x.Calls(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	some, err := x.Calls(t.Context(), Query{Limit: 5})
	if err != nil || len(some) != 5 || some[0].ID != all[0].ID || !some[0].Time.After(all[len(all)-1].Time) {
		t.Errorf("%d calls, %v", len(some), err)
	}
}

// An index that is damaged, of another version or of another log is made anew.
func TestMadeAnew(t *testing.T) {
	w := newWorld(5)
	w.session(20)
	other := newWorld(6)
	other.session(20)
	for name, spoil := range map[string]func(dir string){
		"garbage": func(dir string) {
			write(t, filepath.Join(dir, File), "not a database, and longer than a header of one would be")
		},
		"truncated": func(dir string) { truncate(t, filepath.Join(dir, File)) },
		"a version": func(dir string) { exec(t, dir, "PRAGMA user_version = 99") },
		"no tables": func(dir string) { exec(t, dir, "DROP TABLE calls") },
		"another log": func(dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "segments")); err != nil {
				t.Fatal(err)
			}
			from := record(t, filepath.Join(t.TempDir(), "records"), other.events)
			if err := os.CopyFS(filepath.Join(dir, "segments"), os.DirFS(filepath.Join(from.Dir, "segments"))); err != nil {
				t.Fatal(err)
			}
		},
		"nothing": func(string) {},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, filepath.Join(t.TempDir(), "records"), w.events)
			x, err := Open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(r.Dir)
			x = openIndex(t, r)
			want := w
			if name == "another log" {
				want = other
			}
			calls, err := x.Calls(t.Context(), Query{})
			if wanted, _ := naive(want.events, Query{}); err != nil || len(calls) != len(wanted) || x.inMemory(t) {
				t.Errorf("%d calls, want %d: %v", len(calls), len(wanted), err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, dir, text string) {
	t.Helper()
	x, err := open(t.Context(), recorder.Records{Dir: dir}, filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := x.db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// A link in the index's place is not followed.
func TestNoLinks(t *testing.T) {
	w := newWorld(5)
	w.session(2)
	r := record(t, filepath.Join(t.TempDir(), "records"), w.events)
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(r.Dir, File)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), r); err == nil {
		t.Error("a link was followed")
	}
}

// Nothing is recorded yet, and nothing is made.
func TestNoStore(t *testing.T) {
	r := recorder.Records{Dir: filepath.Join(t.TempDir(), "records")}
	x := openIndex(t, r)
	if s, err := x.Sessions(t.Context(), Query{}); err != nil || len(s) != 0 {
		t.Error(s, err)
	}
	if _, err := os.Stat(r.Dir); err == nil {
		t.Error("asking made a store")
	}
}

// What cannot be read is told, and the rest is there.
func TestProblems(t *testing.T) {
	w := newWorld(5)
	w.session(5)
	r := record(t, filepath.Join(t.TempDir(), "records"), w.events)
	segments, err := filepath.Glob(filepath.Join(r.Dir, "segments", "*.jsonl"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, segments[0], strings.Replace(string(b), `"specversion":"1.0"`, `"specversion":"9.0"`, 1))
	x := openIndex(t, r)
	problems, err := x.Problems(t.Context())
	if err != nil || len(problems) != 1 || problems[0].Line != 1 {
		t.Error(problems, err)
	}
	if calls, err := x.Calls(t.Context(), Query{}); err != nil || len(calls) == 0 {
		t.Error(len(calls), err)
	}
}

func TestCancelled(t *testing.T) {
	w := newWorld(5)
	w.session(5)
	r := record(t, filepath.Join(t.TempDir(), "records"), w.events)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if x, err := Open(ctx, r); err == nil {
		_ = x.Close()
		t.Error("opened under a context that has ended")
	}
}

// The index is in its store, whatever the folder is called.
func TestOddFolder(t *testing.T) {
	w := newWorld(5)
	w.session(3)
	parent := t.TempDir()
	dir := filepath.Join(parent, "a?b#c %41&d")
	x := openIndex(t, record(t, dir, w.events))
	if list, err := x.Sessions(t.Context(), Query{}); err != nil || len(list) == 0 || x.inMemory(t) {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	if st, err := os.Stat(filepath.Join(dir, File)); err != nil || st.Size() == 0 {
		t.Errorf("%v, %v", st, err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("beside the store: %v, %v", entries, err)
	}
}

// A beginning finds the calls whose ids begin so, and nothing else.
func TestBeginning(t *testing.T) {
	w := newWorld(7)
	for range 4 {
		w.session(30)
	}
	x := openIndex(t, record(t, t.TempDir(), w.events))
	calls, err := x.Calls(t.Context(), Query{})
	if err != nil || len(calls) == 0 {
		t.Fatal(err)
	}
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range calls {
		for n := range len(c.ID) + 1 {
			var want []Span
			for _, o := range calls {
				if n > 0 && strings.HasPrefix(o.ID, c.ID[:n]) && len(want) < 3 {
					want = append(want, Span{o.ID, o.From, o.To})
				}
			}
			got, err := x.Beginning(t.Context(), strings.ToLower(c.ID[:n]), 3)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: %v, %v\nwant %v", c.ID[:n], got, err, want)
			}
		}
	}
	for _, odd := range []string{"%", "_", "0%", "~", "\x00", "\xff", "Z", calls[0].ID + "0", strings.Repeat("0", 1000)} {
		if got, err := x.Beginning(t.Context(), odd, 3); err != nil || len(got) > 0 {
			t.Errorf("%q: %v, %v", odd, got, err)
		}
	}
}
