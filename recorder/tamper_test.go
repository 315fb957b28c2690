package recorder_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// gateway makes chained and signed events, as a gateway does.
type gateway struct {
	t      testing.TB
	key    ed25519.PrivateKey
	source string
	seq    uint64
	prev   string
	clock  time.Time
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{t: t, key: key, source: event.SourceOf(public), prev: event.NoDigest, clock: time.Now()}
}

// link chains events in place and returns them.
func (g *gateway) link(events ...event.Event) []event.Event {
	g.t.Helper()
	for i := range events {
		g.seq++
		events[i].Source = g.source
		event.Link(&events[i], g.seq, g.prev)
		line, err := event.Encode(events[i])
		if err != nil {
			g.t.Fatal(err)
		}
		g.prev = event.LineDigest(line)
	}
	return events
}

func (g *gateway) checkpoint() event.Event {
	g.t.Helper()
	d := &event.Checkpoint{Common: event.Common{RequestID: ids.New(), EventTime: g.clock}, UpTo: g.seq, Digest: g.prev, PublicKey: g.key.Public().(ed25519.PublicKey)}
	d.Signature = ed25519.Sign(g.key, d.Signed(g.source))
	return g.link(event.Event{ID: ids.New(), Source: g.source, Time: g.clock, Data: d})[0]
}

// day is some exchanges with bodies and a checkpoint behind.
func (g *gateway) day(session string, n int) []event.Event {
	var out []event.Event
	for i := range n {
		x := exchange(session)
		x = append(x, body(session, x[0].Exchange(), 0, fmt.Appendf(nil, "body %d of %s", i, session)))
		out = append(out, g.link(x...)...)
	}
	return append(out, g.checkpoint())
}

func verify(t testing.TB, dir string, o recorder.VerifyOptions) *recorder.Report {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = time.Now().Add(time.Hour)
	}
	r, err := recorder.Records{Dir: dir}.Verify(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := recorder.WriteReport(&out, r); err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func whole(t testing.TB, dir string, o recorder.VerifyOptions) *recorder.Report {
	t.Helper()
	r := verify(t, dir, o)
	if !r.OK {
		t.Fatalf("not whole: %v", r.Problems)
	}
	return r
}

func cp(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// small is a store of several segments with two gateways' events, its key, and a
// checkpoint that somebody kept when it had half of them.
func small(t testing.TB) (dir, key string, kept []byte, sources []string) {
	t.Helper()
	dir = t.TempDir()
	a, b := newGateway(t), newGateway(t)
	o := recorder.StoreOptions{Dir: dir, SegmentSize: 6000, KeyFile: filepath.Join(t.TempDir(), "r.key")}
	write(t, o, messages(t, a.day(ids.New(), 3)...), messages(t, b.day(ids.New(), 3)...))
	kept = read(t, dir, "log/checkpoint")
	write(t, o, messages(t, a.day(ids.New(), 4)...), messages(t, b.day(ids.New(), 2)...))
	return dir, strings.TrimSpace(string(read(t, dir, recorder.VerifierFile))), kept, []string{a.source, b.source}
}

// A store that nobody touched is whole, and says what it proves.
func TestVerifyWhole(t *testing.T) {
	dir, key, kept, sources := small(t)
	r := whole(t, dir, recorder.VerifyOptions{Key: key, Checkpoint: kept, Gateways: sources})
	if r.Lines != 52 || r.Log.Size != 52 || r.Log.Unsigned != 0 || !r.Log.KeyGiven || !r.Log.Kept.Consistent || r.Log.Kept.Size != 26 ||
		r.Bodies.Named != 12 || r.Bodies.There != 12 || len(r.Sources) != 2 || len(r.Log.Root) != 32 {
		t.Errorf("%+v", r)
	}
	for _, s := range r.Sources {
		if s.First != 1 || s.Last != s.Events || s.Unsigned != 0 || s.Checkpoints != 2 || s.Missing+s.Duplicates+s.Unchained != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Whatever is changed in a store is found. The table is that of docs/record.md.
func TestVerifyFindsTampering(t *testing.T) {
	origin, key, kept, sources := small(t)
	segments, err := filepath.Glob(filepath.Join(origin, "segments", "*.jsonl"))
	if err != nil || len(segments) < 4 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	segment := func(i int) string { return "segments/" + filepath.Base(segments[i]) }
	last := len(segments) - 1
	edit := func(name string, f func(lines [][]byte) [][]byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			lines := bytes.SplitAfter(read(t, dir, name), []byte("\n"))
			lines = f(lines[:len(lines)-1])
			if err := os.WriteFile(filepath.Join(dir, name), bytes.Join(lines, nil), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	forged := func(t *testing.T) []byte {
		line, err := event.Encode(exchange(ids.New())[0])
		if err != nil {
			t.Fatal(err)
		}
		return append(line, '\n')
	}
	for name, tamper := range map[string]func(*testing.T, string){
		"truncated tail": func(t *testing.T, dir string) {
			b := read(t, dir, segment(last))
			if err := os.WriteFile(filepath.Join(dir, segment(last)), b[:len(b)-30], 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"truncated by whole lines": edit(segment(last), func(l [][]byte) [][]byte { return l[:len(l)-2] }),
		"deleted middle line":      edit(segment(1), func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }),
		"deleted first line":       edit(segment(0), func(l [][]byte) [][]byte { return l[1:] }),
		"swapped lines":            edit(segment(1), func(l [][]byte) [][]byte { l[0], l[1] = l[1], l[0]; return l }),
		"inserted line":            edit(segment(1), func(l [][]byte) [][]byte { return slices.Insert(l, 1, forged(t)) }),
		"appended line":            edit(segment(last), func(l [][]byte) [][]byte { return append(l, forged(t), []byte("garbage\n")) }),
		"doubled line":             edit(segment(1), func(l [][]byte) [][]byte { return slices.Insert(l, 1, l[0]) }),
		"deleted segment":          func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, segment(1))) },
		"deleted first segment":    func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, segment(0))) },
		"deleted last segment":     func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, segment(last))) },
		"duplicated segment": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "segments", fmt.Sprintf("%020d.jsonl", 53)), read(t, dir, segment(1)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"segment of a strange name": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "segments", "1.jsonl"), read(t, dir, segment(1)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"replaced body": func(t *testing.T, dir string) {
			const name = "bodies/00000001.pack"
			b := bytes.Replace(read(t, dir, name), []byte("body 1"), []byte("body 2"), 1)
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"forged body with a good checksum": func(t *testing.T, dir string) {
			const name = "bodies/00000001.pack"
			b := read(t, dir, name)
			other := t.TempDir()
			write(t, recorder.StoreOptions{Dir: other}, messages(t, body(ids.New(), ids.New(), 0, []byte("forged"))))
			f := read(t, other, "bodies/00000001.pack")
			copy(f[4:36], b[4:36]) // the digest of the first body here
			head := len(f) - int(binary.BigEndian.Uint32(f[40:]))
			sum := crc32.Checksum(append(bytes.Clone(f[:head-4]), f[head:]...), crc32.MakeTable(crc32.Castagnoli))
			binary.BigEndian.PutUint32(f[head-4:], sum)
			if err := os.WriteFile(filepath.Join(dir, name), append(f, b[head+int(binary.BigEndian.Uint32(b[40:])):]...), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"bodies from elsewhere": func(t *testing.T, dir string) {
			other := t.TempDir()
			write(t, recorder.StoreOptions{Dir: other}, messages(t, newGateway(t).day(ids.New(), 3)...))
			if err := os.WriteFile(filepath.Join(dir, "bodies/00000001.pack"), read(t, other, "bodies/00000001.pack"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"deleted bodies": func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "bodies/00000001.pack")) },
		"deleted log":    func(t *testing.T, dir string) { os.RemoveAll(filepath.Join(dir, "log")) },
		"old checkpoint of another recorder": func(t *testing.T, dir string) {
			other := t.TempDir()
			write(t, recorder.StoreOptions{Dir: other}, messages(t, newGateway(t).day(ids.New(), 3)...))
			for _, f := range []string{"log/checkpoint", recorder.VerifierFile} {
				if err := os.WriteFile(filepath.Join(dir, f), read(t, other, f), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
		"made anew without one line": func(t *testing.T, dir string) {
			remake(t, dir, func(r []recorder.Record) []recorder.Record { return slices.Delete(r, 7, 8) })
		},
		"made anew with a line changed": func(t *testing.T, dir string) {
			remake(t, dir, func(r []recorder.Record) []recorder.Record {
				i := slices.IndexFunc(r, func(r recorder.Record) bool { return bytes.Contains(r.Payload, []byte(`"status":200`)) })
				r[i].Payload = bytes.Replace(r[i].Payload, []byte(`"status":200`), []byte(`"status":403`), 1)
				return r
			})
		},
		"made anew with an event of another gateway": func(t *testing.T, dir string) {
			remake(t, dir, func(r []recorder.Record) []recorder.Record {
				return append(r, messages(t, newGateway(t).day(ids.New(), 1)...)...)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := cp(t, origin)
			tamper(t, dir)
			r := verify(t, dir, recorder.VerifyOptions{Key: key, Checkpoint: kept, Gateways: sources})
			first, bad := r.First()
			if r.OK || !bad {
				t.Fatal("was not found")
			}
			t.Logf("%d problems, first: %s", r.ProblemsTotal, strings.ReplaceAll(first.String(), dir, ""))
		})
	}
}

// remake writes the whole store again with other lines, and a key of its own: what
// whoever has the machine of a recorder can do.
func remake(t *testing.T, dir string, change func([]recorder.Record) []recorder.Record) {
	t.Helper()
	var records []recorder.Record
	for _, e := range entries(t, dir, 0) {
		r := recorder.Record{Session: e.Event.Session(), MsgID: e.Event.ID, Payload: e.Line}
		if d, ok := e.Event.Data.(*event.Body); ok {
			payload, err := recorder.Records{Dir: dir}.Body(t.Context(), d.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			e.Event.Data = event.NewBody(d.Common, d.Part, d.Index, d.Offset, payload)
			r = message(t, e.Event)
		}
		if r.Session == "" {
			r.Session = event.NoSession
		}
		records = append(records, r)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write(t, recorder.StoreOptions{Dir: dir}, change(records))
}

// Who has the recorder's key too can make its log anew, and still not the gateways'
// chains.
func TestVerifyFindsForgedChains(t *testing.T) {
	a := newGateway(t)
	day := a.day(ids.New(), 5)
	forged := newGateway(t)
	for name, change := range map[string]func([]event.Event) []event.Event{
		"dropped": func(e []event.Event) []event.Event { return slices.Delete(e, 3, 4) },
		"changed": func(e []event.Event) []event.Event {
			e[2].Data.(*event.Response).Status = 500
			return e
		},
		"forked": func(e []event.Event) []event.Event {
			f := e[4]
			f.ID, f.Data = ids.New(), exchange(f.Session())[0].Data
			return append(e, f)
		},
		"inserted without a place": func(e []event.Event) []event.Event {
			x := exchange(ids.New())[0]
			x.Source = a.source
			return slices.Insert(e, 4, x)
		},
		"in the name of the recorder": func(e []event.Event) []event.Event {
			return append(e, event.Event{ID: ids.New(), Source: "sallyport-recorder/other", Time: time.Now(),
				Data: &event.Alarm{Common: event.Common{RequestID: ids.New(), EventTime: time.Now()}, Code: "gap"}})
		},
		"end chained and signed anew by another key": func(e []event.Event) []event.Event {
			forged.source, forged.seq, forged.prev = a.source, 0, event.NoDigest
			return append(forged.link(e[:len(e)-1]...), forged.checkpoint())
		},
	} {
		dir := t.TempDir()
		c := slices.Clone(day)
		for i := range c {
			if d, ok := c[i].Data.(*event.Response); ok {
				r := *d
				c[i].Data = &r
			}
		}
		write(t, recorder.StoreOptions{Dir: dir}, messages(t, change(c)...))
		r := verify(t, dir, recorder.VerifyOptions{})
		if name == "in the name of the recorder" {
			// kept as a message that is no event: nothing that comes over NATS speaks for a recorder
			if r.Opaque != 1 {
				t.Errorf("%s: %+v", name, r)
			}
			continue
		}
		if r.OK {
			t.Errorf("%s: was not found", name)
		}
		t.Logf("%s: %v", name, r.Problems)
	}
}

// A whole store put back to an older state is valid by itself: only a checkpoint that
// was kept elsewhere shows it.
func TestVerifyRollback(t *testing.T) {
	dir := t.TempDir()
	o := recorder.StoreOptions{Dir: dir, KeyFile: filepath.Join(t.TempDir(), "r.key")}
	g := newGateway(t)
	write(t, o, messages(t, g.day(ids.New(), 3)...))
	older := cp(t, dir)
	write(t, o, messages(t, g.day(ids.New(), 3)...))
	kept := read(t, dir, "log/checkpoint")
	whole(t, dir, recorder.VerifyOptions{Checkpoint: kept})
	whole(t, older, recorder.VerifyOptions{})
	if r := verify(t, older, recorder.VerifyOptions{Checkpoint: kept}); r.OK || r.Log.Kept.Consistent {
		t.Error("the older state passed")
	}
}

// A history that was written anew under the recorder's own key, in what no gateway
// signed, agrees with itself: only a checkpoint that was kept elsewhere shows it.
func TestVerifyRewrittenHistory(t *testing.T) {
	o := recorder.StoreOptions{Dir: t.TempDir(), KeyFile: filepath.Join(t.TempDir(), "r.key")}
	x := exchange(ids.New())
	write(t, o, messages(t, x...))
	kept := read(t, o.Dir, "log/checkpoint")
	whole(t, o.Dir, recorder.VerifyOptions{Checkpoint: kept})
	o.Dir = t.TempDir()
	x[1].Data.(*event.Decision).Effect = "deny"
	write(t, o, messages(t, x...), messages(t, exchange(ids.New())...))
	whole(t, o.Dir, recorder.VerifyOptions{})
	if r := verify(t, o.Dir, recorder.VerifyOptions{Checkpoint: kept}); r.OK || r.Log.Kept.Consistent || r.ProblemsTotal != 1 {
		t.Errorf("%v", r.Problems)
	}
}

// Gateways that are named must be there, and no others.
func TestVerifyGateways(t *testing.T) {
	dir := t.TempDir()
	a, b, c := newGateway(t), newGateway(t), newGateway(t)
	write(t, recorder.StoreOptions{Dir: dir}, messages(t, a.day(ids.New(), 1)...), messages(t, b.day(ids.New(), 1)...))
	for _, sources := range [][]string{{}, {a.source, b.source}} {
		whole(t, dir, recorder.VerifyOptions{Gateways: sources})
	}
	for _, sources := range [][]string{{a.source}, {c.source}, {a.source, b.source, c.source}} {
		r := verify(t, dir, recorder.VerifyOptions{Gateways: sources})
		if first, bad := r.First(); !bad || first.Code != recorder.CodeSource {
			t.Errorf("%v: %v", sources, r.Problems)
		}
	}
}

// A gateway's clock that goes back breaks nothing: order is by chain, not by time.
func TestVerifyClockBackwards(t *testing.T) {
	dir := t.TempDir()
	g := newGateway(t)
	day := g.day(ids.New(), 3)
	for i := range 3 {
		x := exchange(ids.New())
		for j := range x {
			x[j].Time = time.Now().Add(-time.Duration(i) * 24 * time.Hour)
		}
		day = append(day, g.link(x...)...)
	}
	g.clock = time.Now().Add(-100 * time.Hour)
	write(t, recorder.StoreOptions{Dir: dir, Now: func() time.Time { return time.Unix(1, 0) }}, messages(t, append(day, g.checkpoint())...))
	whole(t, dir, recorder.VerifyOptions{})
}

// Every byte of a store matters, but for those that only a restart looks at.
func TestVerifyFindsFlippedBits(t *testing.T) {
	if testing.Short() {
		t.Skip("some thousand verifications")
	}
	dir, key, _, _ := small(t)
	total, found := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case name == "lock" || strings.HasPrefix(name, "log/.state/") && !strings.HasSuffix(name, "treeState"):
			return nil
		}
		b := read(t, dir, name)
		for at := 0; at < len(b); at += max(1, len(b)/97) {
			total++
			c := bytes.Clone(b)
			c[at] ^= 1 << (at % 8)
			if err := os.WriteFile(path, c, 0o600); err != nil {
				return err
			}
			r, err := recorder.Records{Dir: dir}.Verify(t.Context(), recorder.VerifyOptions{Key: key})
			if err != nil || !r.OK {
				found++
			} else {
				t.Errorf("%s: bit %d of byte %d was not found", name, at%8, at)
			}
		}
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	whole(t, dir, recorder.VerifyOptions{Key: key})
	t.Logf("%d of %d flipped bits found", found, total)
}

// A record that is being written verifies at any time.
func TestVerifyWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, recorder.StoreOptions{Dir: dir, SegmentSize: 50_000, PackSize: 10_000})
	stop, done := make(chan struct{}), make(chan error, 1)
	g := newGateway(t)
	go func() {
		for {
			select {
			case <-stop:
				done <- s.Close()
				return
			default:
				if err := s.Append(messages(t, g.day(ids.New(), 5)...)); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	var last *recorder.Report
	for last = whole(t, dir, recorder.VerifyOptions{}); last.Lines < 500; {
		last = whole(t, dir, recorder.VerifyOptions{})
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("at the last time %d lines, of which %d were signed", last.Lines, last.Log.Size)
	if r := whole(t, dir, recorder.VerifyOptions{}); r.Log.Unsigned != 0 || r.Lines < 100 {
		t.Errorf("%+v", r)
	}
}

// Garbage is reported, and never more than that.
func TestVerifyEmptyAndNone(t *testing.T) {
	if _, err := (recorder.Records{Dir: t.TempDir()}).Verify(t.Context(), recorder.VerifyOptions{}); err == nil {
		t.Error("an empty folder is a store")
	}
	dir := t.TempDir()
	write(t, recorder.StoreOptions{Dir: dir})
	whole(t, dir, recorder.VerifyOptions{})
	if _, err := (recorder.Records{Dir: dir}).Verify(t.Context(), recorder.VerifyOptions{Key: "x"}); err == nil {
		t.Error("a key that is none was taken")
	}
	for _, none := range [][]byte{{}, []byte("x"), read(t, dir, recorder.VerifierFile), read(t, dir, "log/.state/treeState")} {
		if _, err := (recorder.Records{Dir: dir}).Verify(t.Context(), recorder.VerifyOptions{Checkpoint: none}); err == nil || !strings.Contains(err.Error(), "the checkpoint that was given is none") {
			t.Errorf("%q: %v", none, err)
		}
	}
	// What has the form of one and is not the recorder's is no mistake, but a finding.
	good := string(read(t, dir, "log/checkpoint"))
	for _, other := range []string{good[:strings.Index(good, "\n\n")+1], good[:len(good)-20], strings.Replace(good, "/recorder\n", "/other\n", 1)} {
		if r := verify(t, dir, recorder.VerifyOptions{Checkpoint: []byte(other)}); r.OK || r.Log.Kept.Consistent {
			t.Errorf("taken for a checkpoint: %q", other)
		}
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "segments"))); err != nil {
		t.Fatal(err)
	}
}

func FuzzVerify(f *testing.F) {
	dir, _, _, _ := small(f)
	names := []string{"log/checkpoint", "log/.state/treeState", "log/tile/entries/000.p/52", recorder.VerifierFile}
	segment := read(f, dir, "segments/00000000000000000000.jsonl")
	pack := read(f, dir, "bodies/00000001.pack")
	for _, n := range names {
		f.Add(segment, pack, read(f, dir, n))
	}
	f.Fuzz(func(t *testing.T, segment, pack, other []byte) {
		dir := t.TempDir()
		put := func(name string, b []byte) {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		put("segments/00000000000000000000.jsonl", segment)
		put("bodies/00000001.pack", pack)
		for _, n := range names {
			put(n, other)
		}
		verify(t, dir, recorder.VerifyOptions{})
		var p recorder.Proof
		if json.Unmarshal(other, &p) == nil {
			_, _ = p.Check(string(other))
		}
	})
}
