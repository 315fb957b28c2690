package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// What is downloaded verifies by itself, and tells of whatever was done to it.
func TestArchiveVerifies(t *testing.T) {
	for name, in := range map[string]func(testing.TB) *bucket{"simulated": simulated, "minio": minio} {
		t.Run(name, func(t *testing.T) {
			b := in(t)
			o, g, s := filled(t)
			a := b.archive(s)
			pass(t, a, 0)
			dir := b.download(a)
			r := verify(t, dir)
			if !r.OK || r.Lines == 0 || r.Bodies.There < 600 || r.Log.Size == 0 || r.Log.Unsigned != 0 {
				t.Fatalf("%+v", r)
			}
			if list, _ := filepath.Glob(filepath.Join(dir, "segments", "*.zst")); len(list) == 0 {
				t.Error("no compressed segment")
			}
			first := r.Log.Size

			// The copy goes on with the store, over a restart of both.
			closeStore(t, s)
			s = grow(t, o, g.day(ids.New(), 3, 0))
			settle(t, s, 301+601+4+4)
			a = b.archive(s)
			pass(t, a, 0)
			pass(t, a, 0)
			dir = b.download(a)
			if r = verify(t, dir); !r.OK || r.Log.Size <= first {
				t.Fatalf("%+v", r)
			}
			kept, err := os.ReadFile(filepath.Join(dir, checkpointName(r.Log.Size)))
			if err != nil {
				t.Fatal(err)
			}
			tampered(t, dir, kept)
		})
	}
}

// A segment that is small is closed by its age, also by that of an earlier run, and with
// it all that was recorded is in the bucket and verifies there.
func TestSmallSegments(t *testing.T) {
	b := simulated(t)
	g := newGateway(t)
	var later atomic.Int64
	o := recorder.StoreOptions{Dir: t.TempDir(), SegmentAge: 10 * time.Minute, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}
	day := g.day(ids.New(), 3, 100)
	s := grow(t, o, day)
	tick := func(age time.Duration) recorder.Closed {
		t.Helper()
		later.Store(int64(age))
		if err := s.Tick(); err != nil {
			t.Fatal(err)
		}
		c, err := s.Closed()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	settle(t, s, uint64(len(day)))
	if c := tick(9 * time.Minute); len(c.Files) != 0 {
		t.Fatalf("closed too soon: %+v", c.Files)
	}
	closeStore(t, s)
	s = grow(t, o, nil)
	settle(t, s, uint64(len(day)))
	for range 3 { // and closed once
		if c := tick(11 * time.Minute); len(c.Files) != 2 {
			t.Fatalf("a segment and a pack: %+v", c.Files)
		}
	}
	a := b.archive(s)
	pass(t, a, 0)
	if r := verify(t, b.download(a)); !r.OK || r.Lines != uint64(len(day)) || r.Bodies.There == 0 || r.Log.Unsigned != 0 {
		t.Fatalf("%+v", r)
	}
}

// tampered removes and changes each file of a copy, but for checkpoints to keep.
func tampered(t *testing.T, dir string, kept []byte) {
	t.Helper()
	files := 0
	packs, _ := filepath.Glob(filepath.Join(dir, "bodies", "*"))
	unnamed, _ := filepath.Rel(dir, packs[len(packs)-1]) // its bodies are of the segment that was open
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || d.IsDir() || strings.HasPrefix(name, "checkpoints") {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c := bytes.Clone(b)
		c[len(c)/2] ^= 1
		for what, do := range map[string]func() error{
			"changed": func() error { return os.WriteFile(path, c, 0o600) },
			"removed": func() error { return os.Remove(path) },
		} {
			if what == "removed" && (strings.Contains(name, ".p/") || name == unnamed) {
				continue // a tile of an earlier size that is there in full, or nothing names it
			}
			if err := do(); err != nil {
				return err
			}
			r, err := recorder.Records{Dir: dir}.Verify(t.Context(), recorder.VerifyOptions{Checkpoint: kept})
			if err == nil && r.OK {
				t.Errorf("%s: %s was not found", name, what)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir); !r.OK || files < 10 {
		t.Fatalf("%d files, %v", files, r.Problems)
	}
}

// Somebody else's objects stay as they are, are told once, and the log in the bucket
// does not go on.
func TestNothingIsOverwritten(t *testing.T) {
	b := simulated(t)
	o, _, s := filled(t)
	closed, err := s.Closed()
	if err != nil {
		t.Fatal(err)
	}
	forged := []byte("not what the recorder has")
	names := []string{closed.Files[0].Name, closed.Files[1].Name, checkpointName(closed.Checkpoint.Size), "log/tile/0/000"}
	a := b.archive(s)
	for _, name := range names {
		b.overwrite(a, name, forged)
	}
	pass(t, a, len(names))
	pass(t, a, len(names))
	is := b.objects(a)
	for _, name := range names {
		if !bytes.Equal(is[name], forged) {
			t.Errorf("%s was overwritten", name)
		}
	}
	if _, there := is[recorder.CheckpointFile]; there {
		t.Error("the log of the bucket went on")
	}
	if len(is) < len(closed.Files) {
		t.Errorf("%d objects of %d: the others do not wait", len(is), len(closed.Files))
	}
	told := map[string]bool{}
	err = recorder.Records{Dir: o.Dir}.Entries(t.Context(), 0, func(e recorder.Entry) error {
		if d, ok := e.Event.Data.(*event.Alarm); ok && d.Code == recorder.CodeArchive {
			for _, name := range names {
				told[name] = told[name] || strings.Contains(d.Detail, a.prefix+name+" is another")
			}
		}
		return e.Err
	})
	for _, name := range names {
		if err != nil || !told[name] {
			t.Errorf("no alarm for %s is on record: %v", name, err)
		}
	}
	// After a restart it is seen by the size alone.
	closeStore(t, s)
	if s, err = recorder.OpenStore(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a = b.archive(s)
	if err := a.Pass(t.Context()); err != nil || testutil.ToFloat64(a.m.conflicts) < 2 {
		t.Errorf("%v, %v", a.conflicts, err)
	}
}

// Every object is sent with its SHA-256, and what the store says of it is looked at.
func TestChecksums(t *testing.T) {
	b := simulated(t)
	_, _, s := filled(t)
	a := b.archive(s)
	pass(t, a, 0)
	puts := 0
	for _, r := range b.sent() {
		if r.Method != http.MethodPut {
			continue
		}
		puts++
		sum := sha256.Sum256(r.Body)
		if got := r.Header.Get("X-Amz-Checksum-Sha256"); got != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("%s: %q", r.Target, got)
		}
	}
	if puts < 10 {
		t.Errorf("%d puts", puts)
	}
	inner := b.o.HTTPClient.(*http.Client).Transport
	b.o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(r)
		if err == nil && r.Method == http.MethodPut {
			sum := sha256.Sum256(nil)
			resp.Header.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum[:]))
		}
		return resp, err
	})}
	b.o.Prefix = "two/"
	if err := b.archive(s).Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Error(err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is there is not sent again, and a pass that broke off is taken up.
func TestResume(t *testing.T) {
	b := simulated(t)
	_, _, s := filled(t)
	inner := b.o.HTTPClient.(*http.Client).Transport
	left := 12
	b.o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if left--; left < 0 {
			return nil, errors.New("the network is away")
		}
		return inner.RoundTrip(r)
	})}
	a := b.archive(s)
	passes := 0
	for ; ; passes++ {
		left = 12 + 15*passes // each gets a little further
		if err := a.Pass(t.Context()); err == nil {
			break
		} else if passes > 200 {
			t.Fatal(err)
		}
		if passes%2 == 1 {
			a = b.archive(s) // killed
		}
	}
	left = 1000
	if r := verify(t, b.download(a)); !r.OK || passes == 0 {
		t.Fatalf("%d passes, %v", passes, r.Problems)
	}
	for name, n := range stored(b) {
		if n != 1 && name != recorder.CheckpointFile && name != recorder.LogStateFile {
			t.Errorf("%s was written %d times", name, n)
		}
	}
	before := len(stored(b))
	sent := len(b.sent())
	pass(t, b.archive(s), 0)
	for _, r := range b.sent()[sent:] {
		if r.Method == http.MethodPut && (strings.Contains(r.Target, "/segments/") || strings.Contains(r.Target, "/bodies/")) {
			t.Errorf("%s was sent again", r.Target)
		}
	}
	if after := len(stored(b)); after != before {
		t.Errorf("%d objects became %d", before, after)
	}
}

// stored counts how often each object was written.
func stored(b *bucket) map[string]int {
	out := map[string]int{}
	for _, r := range b.sent() {
		if r.Method == http.MethodPut && r.Status == http.StatusOK {
			name, _, _ := strings.Cut(strings.TrimPrefix(r.Target, "/"+b.o.Prefix), "?")
			out[name]++
		}
	}
	return out
}

// A recorder that was put back to an older state, and one with another history of the
// same length, are told.
func TestAnotherHistory(t *testing.T) {
	b := simulated(t)
	o, g, s := filled(t)
	closeStore(t, s)
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, grow(t, o, g.day(ids.New(), 20, 0)))
	s = grow(t, o, g.day(ids.New(), 1, 0))
	pass(t, b.archive(s), 0)
	closeStore(t, s)

	o.Dir = older // from where it goes on with another history, beyond what is archived
	closeStore(t, grow(t, o, newGateway(t).day(ids.New(), 500, 0)))
	put := grow(t, o, newGateway(t).day(ids.New(), 1, 0))
	a := b.archive(put)
	was := b.objects(a)[recorder.CheckpointFile]
	if err := a.begin(t.Context()); err != nil || len(a.conflicts) == 0 { // before anything is sent
		t.Errorf("%v, %v", a.conflicts, err)
	}
	if err := a.Pass(t.Context()); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(b.objects(a)[recorder.CheckpointFile], was) {
		t.Error("the log of the bucket was replaced")
	}
	closeStore(t, put)

	// One that is shorter, under its own key.
	empty := recorder.StoreOptions{Dir: t.TempDir(), KeyFile: o.KeyFile}
	a = b.archive(grow(t, empty, newGateway(t).day(ids.New(), 1, 0)))
	if err := a.Pass(t.Context()); err != nil {
		t.Errorf("%v, %v", a.conflicts, err)
	}
	if _, told := a.conflicts[recorder.CheckpointFile]; !told {
		t.Errorf("%v", a.conflicts)
	}
	// Another recorder.
	a = b.archive(grow(t, recorder.StoreOptions{Dir: t.TempDir()}, newGateway(t).day(ids.New(), 1, 0)))
	if err := a.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "another recorder") {
		t.Error(err)
	}
}

// Bodies that are let go stay in the archive, and are no alarm.
func TestRetentionStaysLocal(t *testing.T) {
	b := simulated(t)
	session := ids.New()
	g := newGateway(t)
	o := recorder.StoreOptions{Dir: t.TempDir(), SegmentSize: 1 << 10, PackSize: 1 << 20}
	day := append(g.day(session, 5, 0), g.day(ids.New(), 5, 0)...)
	closeStore(t, grow(t, o, day))
	s := grow(t, o, g.day(ids.New(), 1, 0))
	a := b.archive(s)
	pass(t, a, 0)
	if err := (recorder.Records{Dir: o.Dir}).Forget(recorder.Hold{Session: session, By: "ops", Reason: "asked"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(recorder.Retention{}); err != nil {
		t.Fatal(err)
	}
	pass(t, a, 0)
	pass(t, b.archive(s), 0)
	if r := verify(t, b.download(a)); !r.OK || r.Bodies.Removed != 0 || r.Bodies.There < 10 {
		t.Errorf("%+v", r)
	}
}

// A store that overwrites in spite of If-None-Match gets nothing.
func TestStoreMustRefuse(t *testing.T) {
	puts := 0
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			puts++
		}
	}))
	t.Cleanup(srv.Close)
	b := simulated(t)
	b.o.Endpoint, b.o.PathStyle, b.o.HTTPClient = srv.URL, true, srv.Client()
	_, _, s := filled(t)
	if err := b.archive(s).Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "If-None-Match") || puts > 2 {
		t.Errorf("%d puts, %v", puts, err)
	}
}

// Run makes passes by itself and ends with its context.
func TestRun(t *testing.T) {
	b := simulated(t)
	_, _, s := filled(t)
	a := b.archive(s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx)
	}()
	for end := time.Now().Add(20 * time.Second); stored(b)[recorder.CheckpointFile] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is archived")
		}
	}
	cancel()
	<-done
	if r := verify(t, b.download(a)); !r.OK {
		t.Error(r.Problems)
	}
}
