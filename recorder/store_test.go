package recorder_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// message is an event as it comes from the stream.
func message(t testing.TB, e event.Event) recorder.Record {
	t.Helper()
	m, err := event.EncodeMessage(e, event.DefaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	session := e.Session()
	if session == "" {
		session = event.NoSession
	}
	return recorder.Record{Session: session, Subject: "sallyport.events." + session, MsgID: e.ID, Header: m.Header, Payload: m.Payload}
}

func messages(t testing.TB, events ...event.Event) []recorder.Record {
	t.Helper()
	out := make([]recorder.Record, len(events))
	for i, e := range events {
		out[i] = message(t, e)
	}
	return out
}

func body(session, exchange string, index int, b []byte) event.Event {
	at := time.Now()
	c := event.Common{RequestID: exchange, SessionID: session, EventTime: at}
	return event.Event{ID: ids.New(), Source: "sallyport/test", Time: at, Data: event.NewBody(c, event.PartResponse, index, int64(index)*int64(len(b)), b)}
}

func open(t testing.TB, o recorder.StoreOptions) *recorder.Store {
	t.Helper()
	s, err := recorder.OpenStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// write opens a store, appends each batch and closes it.
func write(t testing.TB, o recorder.StoreOptions, batches ...[]recorder.Record) {
	t.Helper()
	s := open(t, o)
	for _, b := range batches {
		if err := s.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// entries reads a whole store; the lines are copied.
func entries(t testing.TB, dir string, from uint64) []recorder.Entry {
	t.Helper()
	var out []recorder.Entry
	err := recorder.Records{Dir: dir}.Entries(context.Background(), from, func(e recorder.Entry) error {
		e.Line = bytes.Clone(e.Line)
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What was appended is read back, line by line, from any index, over many segments,
// and bodies by their digests.
func TestStoreKeepsAll(t *testing.T) {
	dir, session := t.TempDir(), ids.New()
	var want []event.Event
	var payloads [][]byte
	var batches [][]recorder.Record
	for i := range 20 {
		x := exchange(session)
		b := bytes.Repeat([]byte{byte(i)}, 10_000)
		if i%3 == 0 {
			_, _ = rand.Read(b)
		}
		payloads = append(payloads, b)
		x = append(x, body(session, x[0].Exchange(), 0, b))
		want = append(want, x...)
		batches = append(batches, messages(t, x...))
	}
	o := recorder.StoreOptions{Dir: dir, SegmentSize: 5000, PackSize: 20_000}
	write(t, o, batches[:11]...)
	write(t, o, batches[9:]...) // two come again
	for _, glob := range []string{"segments/*.jsonl", "bodies/*.pack"} {
		if files, _ := filepath.Glob(filepath.Join(dir, glob)); len(files) < 3 {
			t.Errorf("%s: %d files, want several", glob, len(files))
		}
	}
	for _, from := range []uint64{0, 1, 7, 39, 79, 80, 1000} {
		got := entries(t, dir, from)
		if len(got) != max(0, len(want)-int(from)) {
			t.Fatalf("from %d: %d entries", from, len(got))
		}
		for i, e := range got {
			if e.Err != nil || e.Index != from+uint64(i) || e.Event.ID != want[e.Index].ID {
				t.Fatalf("from %d: entry %d is %d %s, %v", from, i, e.Index, e.Event.ID, e.Err)
			}
			line, err := event.Encode(want[e.Index])
			if err != nil || !bytes.Equal(line, e.Line) {
				t.Fatalf("entry %d is not as it was published", e.Index)
			}
		}
	}
	records := recorder.Records{Dir: dir}
	for i, p := range payloads {
		sum := sha256.Sum256(p)
		got, err := records.Body(t.Context(), hex.EncodeToString(sum[:]))
		if err != nil || !bytes.Equal(got, p) {
			t.Errorf("body %d: %d bytes, %v", i, len(got), err)
		}
	}
	if _, err := records.Body(t.Context(), strings.Repeat("00", 32)); !errors.Is(err, recorder.ErrGone) {
		t.Errorf("a body that never was: %v", err)
	}
	if _, err := records.Body(t.Context(), "../../etc/passwd"); err == nil || errors.Is(err, recorder.ErrGone) {
		t.Errorf("no digest: %v", err)
	}
}

// What is no event of ours is kept as it came, and named.
func TestStoreKeepsOpaque(t *testing.T) {
	dir, session := t.TempDir(), ids.New()
	e := exchange(session)[0]
	good := message(t, e)
	other := good
	other.Session = ids.New()
	forged := good
	forged.MsgID = ids.New()
	b := message(t, body(session, ids.New(), 0, []byte("one")))
	b.Payload = []byte("two") // of another index or offset it would be another event
	b.Header = map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"x"}}
	write(t, recorder.StoreOptions{Dir: dir}, []recorder.Record{good, other, forged, {Session: session, Payload: []byte("\xff\n\"")}, b})
	got := entries(t, dir, 0)
	if len(got) != 9 || got[0].Err != nil {
		t.Fatalf("%d entries", len(got))
	}
	for _, e := range got[5:] {
		if d, ok := e.Event.Data.(*event.Alarm); !ok || d.Code != recorder.CodeOpaque {
			t.Errorf("entry %d is no alarm: %v", e.Index, e.Err)
		}
	}
	for _, e := range got[1:5] {
		var opaque *recorder.OpaqueError
		if !errors.As(e.Err, &opaque) {
			t.Errorf("entry %d: %v", e.Index, e.Err)
		}
	}
}

// A torn end is set aside, what was acknowledged stays, and the message comes again.
func TestTornEndIsSetAside(t *testing.T) {
	session := ids.New()
	text := []byte(strings.Repeat("body", 100))
	recs := messages(t, append(exchange(session), body(session, ids.New(), 0, text))...)
	const segment, pack = "segments/00000000000000000000.jsonl", "bodies/00000001.pack"
	whole := t.TempDir()
	write(t, recorder.StoreOptions{Dir: whole}, recs)
	wholeSegment, wholePack := read(t, whole, segment), read(t, whole, pack)
	for cut := 1; cut < 400; cut += 41 {
		dir := t.TempDir()
		o := recorder.StoreOptions{Dir: dir}
		write(t, o, recs[:3])
		for name, b := range map[string][]byte{segment: wholeSegment, pack: wholePack} {
			if err := os.WriteFile(filepath.Join(dir, name), b[:max(0, len(b)-cut)], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := entries(t, dir, 0); len(got) != 4 || !errors.Is(got[3].Err, recorder.ErrTorn) {
			t.Fatalf("cut %d: %v", cut, got)
		}
		write(t, o, recs) // redelivery of all of them
		if !bytes.Equal(read(t, dir, segment), wholeSegment) || !bytes.Equal(read(t, dir, pack), wholePack) {
			t.Errorf("cut %d: the store is not what it was", cut)
		}
		torn, _ := filepath.Glob(filepath.Join(dir, "torn", "*"))
		if want := min(2, 1+(len(wholePack)-1)/cut); len(torn) != want {
			t.Errorf("cut %d: %d torn ends were kept, want %d", cut, len(torn), want)
		}
		sum := sha256.Sum256(text)
		if _, err := (recorder.Records{Dir: dir}).Body(t.Context(), hex.EncodeToString(sum[:])); err != nil {
			t.Errorf("cut %d: %v", cut, err)
		}
	}
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What was signed for and is gone, or is another, keeps the store from being opened.
func TestStoreRefusesWhatTheLogDenies(t *testing.T) {
	const segment = "segments/00000000000000000000.jsonl"
	recs := messages(t, exchange(ids.New())...)
	for name, change := range map[string]func(b []byte) []byte{
		"shorter":  func(b []byte) []byte { return b[:len(b)-1] },
		"empty":    func([]byte) []byte { return nil },
		"other":    func(b []byte) []byte { return bytes.Replace(b, []byte(`"status":200`), []byte(`"status":201`), 1) },
		"inserted": func(b []byte) []byte { return append([]byte("{}\n"), b...) },
	} {
		dir := t.TempDir()
		o := recorder.StoreOptions{Dir: dir}
		write(t, o, recs)
		if err := os.WriteFile(filepath.Join(dir, segment), change(read(t, dir, segment)), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := recorder.OpenStore(o); err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
	dir := t.TempDir()
	write(t, recorder.StoreOptions{Dir: dir}, recs)
	for name, o := range map[string]recorder.StoreOptions{
		"another name": {Dir: dir, Name: "second"}, "another key": {Dir: dir, KeyFile: filepath.Join(t.TempDir(), "keys", "r.key")},
	} {
		if s, err := recorder.OpenStore(o); err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

// Neither a symbolic nor a hard link redirects the record.
func TestStoreRefusesLinks(t *testing.T) {
	for name, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
		for _, file := range []string{"segments/00000000000000000000.jsonl", "bodies/00000001.pack"} {
			dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "f")
			o := recorder.StoreOptions{Dir: dir}
			write(t, o, messages(t, exchange(ids.New())...))
			if err := errors.Join(os.Rename(filepath.Join(dir, file), elsewhere), link(elsewhere, filepath.Join(dir, file))); err != nil {
				t.Fatal(err)
			}
			if s, err := recorder.OpenStore(o); err == nil {
				s.Close()
				t.Errorf("%s link at %s: opened", name, file)
			}
		}
	}
}

// A store of a later version is not touched.
func TestStoreFormat(t *testing.T) {
	dir := t.TempDir()
	o := recorder.StoreOptions{Dir: dir}
	write(t, o, messages(t, exchange(ids.New())...))
	path := filepath.Join(dir, "format")
	for _, text := range []string{"sallyport-records 2\n", "", "x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := recorder.OpenStore(o); err == nil {
			s.Close()
			t.Errorf("format %q was opened", text)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s, err := recorder.OpenStore(o); err == nil {
		s.Close()
		t.Error("a store without a format was opened")
	}
}

// Files of one session each are taken over, once, also after a crash between.
func TestStoreTakesOverSessions(t *testing.T) {
	dir := t.TempDir()
	var want []string
	old := func(n int) {
		session := ids.New()
		var text []byte
		for range n {
			for _, e := range exchange(session) {
				line, err := event.Encode(e)
				if err != nil {
					t.Fatal(err)
				}
				text, want = append(append(text, line...), '\n'), append(want, e.ID)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, session+".jsonl"), append(text, `{"torn`...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old(1)
	old(500)
	o := recorder.StoreOptions{Dir: dir}
	write(t, o)
	for _, name := range []string{"one", "two"} { // as if the crash came before the files were moved
		moved, _ := filepath.Glob(filepath.Join(dir, "imported", "*.jsonl"))
		if len(moved) != 2 {
			t.Fatalf("%s: moved %v", name, moved)
		}
		for _, m := range moved {
			if err := os.Rename(m, filepath.Join(dir, filepath.Base(m))); err != nil {
				t.Fatal(err)
			}
		}
		write(t, o)
	}
	var got []string
	for _, e := range entries(t, dir, 0) {
		got = append(got, e.Event.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	list, problems, err := recorder.Records{Dir: dir}.List()
	if len(list) != 2 || len(problems) != 0 || err != nil {
		t.Errorf("%v, %v, %v", list, problems, err)
	}
}

// Closed segments are compressed, and read and verify as before; a crash between does
// no harm, and what is wrong in one is found.
func TestStoreCompresses(t *testing.T) {
	dir := t.TempDir()
	o := recorder.StoreOptions{Dir: dir, SegmentSize: 1400 << 10}
	g := newGateway(t)
	session := ids.New()
	n := 0
	s := open(t, o)
	for range 12 {
		var batch []event.Event
		for range 100 {
			e := exchange(session)[0]
			e.Data.(*event.Request).RequestParameters = map[string]any{"a": strings.Repeat(ids.New(), 100)}
			batch = append(batch, e)
		}
		n += len(batch)
		if err := s.Append(messages(t, g.link(batch...)...)); err != nil {
			t.Fatal(err)
		}
	}
	closed := func(suffix string) []string {
		list, _ := filepath.Glob(filepath.Join(dir, "segments", "*"+suffix))
		return list
	}
	for end := time.Now().Add(20 * time.Second); len(closed(".jsonl.zst")) < 2 || len(closed(".jsonl")) > 1; {
		if time.Now().After(end) {
			t.Fatalf("%v, %v", closed(".jsonl.zst"), closed(".jsonl"))
		}
		if got := entries(t, dir, 0); len(got) != n { // while they are being replaced
			t.Fatalf("%d entries", len(got))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		got := entries(t, dir, 150)
		if len(got) != n-150 || got[0].Index != 150 {
			t.Fatalf("%d entries", len(got))
		}
		whole(t, dir, recorder.VerifyOptions{})
	}
	check()
	first := closed(".jsonl.zst")[0]
	compressed := read(t, dir, "segments/"+filepath.Base(first))
	dec, err := zstd.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	plain, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(strings.TrimSuffix(first, ".zst"), plain, 0o600), os.WriteFile(first+".new", compressed[:100], 0o600)); err != nil {
		t.Fatal(err)
	}
	check()
	write(t, o)
	check()
	if err := os.RemoveAll(strings.TrimSuffix(first, ".zst")); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(compressed); at += len(compressed)/29 + 1 {
		c := bytes.Clone(compressed)
		c[at] ^= 4
		if err := os.WriteFile(first, c, 0o600); err != nil {
			t.Fatal(err)
		}
		// Some bits of a frame, such as padding, mean nothing: the lines are what they were.
		if again, err := dec.DecodeAll(c, nil); err == nil && bytes.Equal(again, plain) {
			continue
		}
		if r := verify(t, dir, recorder.VerifyOptions{}); r.OK {
			t.Errorf("a flipped bit in byte %d of %d was not found", at, len(compressed))
		}
	}
}

// Whatever is in the files, reading says where it is damaged and goes on, and neither
// a reader nor a writer that opens the store after it ends in a panic.
func FuzzRecords(f *testing.F) {
	line, err := event.Encode(exchange(ids.New())[0])
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	write(f, recorder.StoreOptions{Dir: dir}, messages(f, body(ids.New(), ids.New(), 0, []byte("a body"))))
	pack, err := os.ReadFile(filepath.Join(dir, "bodies", "00000001.pack"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(bytes.Clone(line), '\n'), pack)
	f.Add([]byte("{}\n{\"x\":1}\nnot json\n"), append(bytes.Clone(pack), pack[:40]...))
	f.Add([]byte("\x00\xff\n\n\n{"), append(bytes.Clone(pack[1:]), pack...))
	f.Add([]byte(`{"opaque":{"why":"x"}}`+"\n"), bytes.Repeat([]byte("SPB\x01"), 100))
	f.Fuzz(func(t *testing.T, content, pack []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{
			"format": []byte("sallyport-records 1\n"), "segments/00000000000000000000.jsonl": content,
			"segments/00000000000000000003.jsonl.zst": content, "bodies/00000001.pack": pack,
		} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		r := recorder.Records{Dir: dir}
		list, _, err := r.List()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := recorder.WriteSummaries(&out, list); err != nil {
			t.Fatal(err)
		}
		for _, sum := range list {
			s, err := r.Read(sum.Session)
			if err != nil {
				t.Fatal(err)
			}
			if err := recorder.WriteStory(&out, s); err != nil {
				t.Fatal(err)
			}
		}
		if bytes.ContainsAny(out.Bytes(), "\x1b\x07\x00") {
			t.Errorf("a terminal would obey: %q", out.String())
		}
		_, _ = r.Body(t.Context(), strings.Repeat("ab", 32))
		if s, err := recorder.OpenStore(recorder.StoreOptions{Dir: dir}); err == nil {
			if err := s.Append([]recorder.Record{{Session: "none", Payload: []byte("x")}}); err != nil {
				t.Error(err)
			}
			s.Close()
		}
	})
}
