package wal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// snapshot copies a log's files as a crash would leave them.
func snapshot(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A crash while a batch is written may leave any of its bytes: all before the batch
// is there, and of the batch a beginning.
func TestCrashAtAnyByte(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 25 {
		dir := t.TempDir()
		l := quick(t, dir)
		add(t, l, r.IntN(60))
		if r.IntN(2) == 0 && l.Last() > 20 { // what is written on held other records before
			if err := l.Cut(l.Last()); err != nil {
				t.Fatal(err)
			}
			add(t, l, 30)
		}
		acknowledged, from := l.Last(), l.offset
		n := 1 + r.IntN(6)
		var batch [][]byte
		for i := range n {
			batch = append(batch, content(acknowledged+1+uint64(i)))
		}
		before := snapshot(t, dir)
		if _, err := l.Append(t.Context(), batch...); err != nil {
			t.Fatal(err)
		}
		written := l.segments[len(l.segments)-1].path
		if _, err := os.Stat(filepath.Join(before, filepath.Base(written))); err != nil {
			from = headerSize // the batch went on in a new segment
		}
		to := l.offset
		whole, err := os.ReadFile(written)
		if err != nil {
			t.Fatal(err)
		}
		final := l.Last()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for range 16 {
			crashed := snapshot(t, dir)
			b := append([]byte(nil), whole...)
			cut := from + r.Int64N(to-from)
			switch r.IntN(4) {
			case 0:
				b = b[:cut]
			case 1:
				clear(b[cut:to])
			case 2:
				for i := cut; i < to; i++ {
					b[i] = byte(r.Uint32())
				}
			case 3: // one page of it never reached the disk
				clear(b[cut:min(cut+64, to)])
			}
			if err := os.WriteFile(filepath.Join(crashed, filepath.Base(written)), b, 0o600); err != nil {
				t.Fatal(err)
			}
			least := acknowledged
			if from == headerSize {
				least = mustFirst(t, written) - 1
			}
			again := quick(t, crashed)
			if last := again.Last(); last < least || last > final {
				t.Fatalf("round %d: %d were acknowledged of %d, and %d are there", round, least, final, last)
			}
			if err := readAll(again); err != nil {
				t.Fatal(err)
			}
			// Shorter and longer records in the place of what was torn.
			add(t, again, 10)
			last := again.Last()
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			again = quick(t, crashed)
			expect(t, again, last)
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What was torn is not found again behind a record of the very length of the first
// one that was lost.
func TestTornIsGone(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	at := l.offset
	same := func(c byte) []byte { return []byte(strings.Repeat(string(c), 100)) }
	if _, err := l.Append(t.Context(), same('a'), same('b'), same('c')); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(dir, 1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at+recordHeader] ^= 1 // the first of a batch, whose others are whole
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	if l.Last() != 0 {
		t.Fatalf("last is %d", l.Last())
	}
	if _, err := l.Append(t.Context(), same('d')); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l = open(t, dir); l.Last() != 1 {
		t.Fatalf("record 2 of the torn batch came back: last is %d", l.Last())
	}
}

// Any bit of any record that a later sync stands behind: it is found, and told by
// file and offset. In the last batch a flip looks like a crash; then a beginning is
// there. Nothing is ever read that was not written.
func TestEveryFlipIsFound(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	add(t, l, 40) // each its own batch
	last := l.Last()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 400 {
		path := segments[r.IntN(len(segments))]
		broken := snapshot(t, dir)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bit := r.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(filepath.Join(broken, filepath.Base(path)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(Options{Dir: broken, SegmentSize: minSegmentSize, sync: func(*os.File) error { return nil }})
		if err == nil {
			if err = readAll(again); err == nil && again.Last() < last-1 {
				t.Fatalf("a flip at byte %d of %s lost %d records without a word", bit/8, filepath.Base(path), last-again.Last())
			}
			_ = again.Close()
		}
		var damage *DamageError
		if err != nil && (!errors.As(err, &damage) || filepath.Base(damage.File) != filepath.Base(path) || damage.Offset > int64(bit/8)) {
			t.Fatalf("a flip at byte %d of %s: %v", bit/8, filepath.Base(path), err)
		}
		if err != nil {
			found++
		}
	}
	if found < 200 {
		t.Fatalf("only %d of 400 flips were found", found)
	}
	// A segment that is gone from the middle.
	broken := snapshot(t, dir)
	if err := os.Remove(filepath.Join(broken, filepath.Base(segments[1]))); err != nil {
		t.Fatal(err)
	}
	again := open(t, broken)
	if err := readAll(again); err == nil {
		t.Fatal("a missing segment was not found")
	}
}

// A record in the place of another one, whole and with its checksum, is damage, in a
// closed segment and in the last one.
func TestRecordsInAnotherPlace(t *testing.T) {
	dir := t.TempDir()
	l := quick(t, dir)
	record := make([]byte, 200)
	for range 30 {
		if _, err := l.Append(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	last := l.segments[len(l.segments)-1].path
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{segmentPath(dir, 1), last} {
		broken := snapshot(t, dir)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n := padded(len(record))
		copy(b[headerSize+2*n:headerSize+3*n], b[headerSize+n:headerSize+2*n])
		if err := os.WriteFile(filepath.Join(broken, filepath.Base(path)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(Options{Dir: broken, SegmentSize: minSegmentSize})
		if err == nil {
			t.Cleanup(func() { _ = again.Close() })
			r := again.Read(1)
			for err == nil && r.next <= again.Last() {
				_, _, err = r.Next(t.Context())
			}
			r.Close()
		}
		var damage *DamageError
		if !errors.As(err, &damage) || filepath.Base(damage.File) != filepath.Base(path) || damage.Offset != int64(headerSize+2*n) {
			t.Fatalf("%s: %v", filepath.Base(path), err)
		}
	}
}

// Records of one size, in segments that held others of that size: after a crash none
// of the old ones follows the new ones.
func TestStaleRecordsAreNotRead(t *testing.T) {
	dir := t.TempDir()
	l := quick(t, dir)
	record := make([]byte, 200)
	for range 200 {
		if _, err := l.Append(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		if err := l.Cut(l.Last()); err != nil {
			t.Fatal(err)
		}
		again := quick(t, snapshot(t, dir))
		if again.Last() != l.Last() {
			t.Fatalf("last is %d, want %d", again.Last(), l.Last())
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSegmentOfAnotherLog(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		l := quick(t, d)
		add(t, l, 40)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	second := func(d string) string {
		paths, err := filepath.Glob(filepath.Join(d, "*.wal"))
		if err != nil || len(paths) < 3 {
			t.Fatal(paths, err)
		}
		return paths[1]
	}
	b, err := os.ReadFile(second(other))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(second(dir), b, 0o600); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if l, err := Open(Options{Dir: dir, SegmentSize: minSegmentSize}); !errors.As(err, &damage) {
		if err == nil {
			_ = l.Close()
		}
		t.Fatalf("a segment of another log was taken: %v", err)
	}
}

func mustFirst(t *testing.T, path string) uint64 {
	t.Helper()
	first, ok := firstOf(filepath.Base(path))
	if !ok {
		t.Fatal(path)
	}
	return first
}

// child appends until it is killed, and says what was acknowledged.
func child(dir string) {
	l, err := Open(Options{Dir: dir, SegmentSize: minSegmentSize})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	for {
		if err := addOne(l); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(l.Last())
		if l.Last()%50 == 0 {
			if err := l.Cut(l.Last() - 120); err != nil && l.Last() > 120 {
				fmt.Println("error", err)
				return
			}
		}
	}
}

// A process that is killed at any moment has lost nothing that it acknowledged.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 6))
	total := uint64(0)
	for round := range 15 {
		ctx, kill := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "WAL_TEST_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := 1 + r.IntN(60)
		acknowledged := total
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("round %d: %s", round, lines.Text())
			}
			acknowledged = n
			if stop--; stop == 0 {
				kill() // SIGKILL; what it wrote meanwhile is still read
			}
		}
		kill()
		_ = cmd.Wait()
		l := open(t, dir)
		if total = l.Last(); total < acknowledged {
			t.Fatalf("round %d: %d were acknowledged, and %d are there", round, acknowledged, total)
		}
		if err := readAll(l); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records over 15 kills", total)
}

func FuzzFindEnd(f *testing.F) {
	dir := f.TempDir()
	l := open(f, dir)
	add(f, l, 6)
	b, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil {
		f.Fatal(err)
	}
	seed := seedOf(l.id)
	good, next, _, err := findEnd(b, 1, seed)
	if err != nil || next < 2 {
		f.Fatal(next, err)
	}
	f.Add(b, uint64(1))
	f.Add(b[:good], uint64(1))
	f.Add(b[:good-3], uint64(1))
	f.Add(b[:headerSize], uint64(1))
	f.Add([]byte{}, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, first uint64) {
		end, next, _, err := findEnd(b, first, seed)
		if err != nil {
			return
		}
		if end < headerSize || end > len(b)+7 {
			t.Fatalf("end %d of %d bytes", end, len(b))
		}
		// All that counts is there, in order.
		at := headerSize
		for position := first; position != next; position++ {
			r, _, ok := parse(b[at:], seed)
			if !ok || r.position != position {
				t.Fatalf("record %d is not there", position)
			}
			at += padded(len(r.content))
		}
	})
}
