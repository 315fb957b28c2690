package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WAL_TEST_CHILD"); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string) *Log {
	t.Helper()
	return openWith(t, Options{Dir: dir, SegmentSize: minSegmentSize})
}

// quick opens a log that does not sync, for tests that look at files only.
func quick(t testing.TB, dir string) *Log {
	t.Helper()
	return openWith(t, Options{Dir: dir, SegmentSize: minSegmentSize, sync: func(*os.File) error { return nil }})
}

func openWith(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// content is what the record at a position holds in these tests: a length and bytes
// that its position alone decides.
func content(position uint64) []byte {
	r := rand.New(rand.NewPCG(position, 7))
	b := make([]byte, 1+r.IntN(700))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func add(t testing.TB, l *Log, n int) {
	t.Helper()
	for range n {
		if err := addOne(l); err != nil {
			t.Fatal(err)
		}
	}
}

func addOne(l *Log) error {
	next := l.Last() + 1
	got, err := l.Append(context.Background(), content(next))
	if err == nil && got != next {
		err = fmt.Errorf("position %d, want %d", got, next)
	}
	return err
}

// expect reads everything from First to the end.
func expect(t testing.TB, l *Log, last uint64) {
	t.Helper()
	if l.Last() != last {
		t.Fatalf("last is %d, want %d", l.Last(), last)
	}
	if err := readAll(l); err != nil {
		t.Fatal(err)
	}
}

func readAll(l *Log) error {
	r := l.Read(l.First())
	defer r.Close()
	for want := l.First(); want <= l.Last(); want++ {
		position, b, err := r.Next(context.Background())
		if err != nil {
			return err
		}
		if position != want || !bytes.Equal(b, content(want)) {
			return fmt.Errorf("record %d is not what was written as %d", position, want)
		}
	}
	return nil
}

func TestAppendReadReopen(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if !l.Fresh() || l.Last() != 0 || l.First() != 1 {
		t.Fatal("a new log is not empty")
	}
	for round := range uint64(4) {
		add(t, l, 50)
		expect(t, l, 50*(round+1))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir)
		if l.Fresh() {
			t.Fatal("an old log is fresh")
		}
		expect(t, l, 50*(round+1))
	}
	for name, err := range map[string]error{"empty": ErrEmpty, "large": ErrTooLarge} {
		b := make([]byte, map[string]int{"empty": 0, "large": minSegmentSize}[name])
		if _, got := l.Append(t.Context(), b); !errors.Is(got, err) {
			t.Errorf("%s record: %v", name, got)
		}
	}
	if _, err := l.Append(t.Context(), make([]byte, minSegmentSize-headerSize-recordHeader)); err != nil {
		t.Errorf("the largest record: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Segments are used again, and what they held before is never read.
func TestCutAndRecycle(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for range 15 {
		add(t, l, 40)
		if err := l.Cut(l.Last() - 3); err != nil {
			t.Fatal(err)
		}
		if l.First() > l.Last()-2 {
			t.Fatalf("cut up to %d, and the first is %d", l.Last()-3, l.First())
		}
		expect(t, l, l.Last())
		if files, _ := os.ReadDir(dir); len(files) > 3+maxSpares+2 {
			t.Fatalf("%d files after a cut", len(files))
		}
	}
	if err := l.Cut(l.Last() + 100); err != nil {
		t.Fatal(err)
	}
	if l.First() > l.Last() {
		t.Fatal("the last record went")
	}
	last := l.Last()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	expect(t, l, last)
	if _, _, err := l.Read(1).Next(t.Context()); !errors.Is(err, ErrCut) {
		t.Fatalf("reading what was cut: %v", err)
	}
}

func TestReaderFollows(t *testing.T) {
	l := quick(t, t.TempDir())
	const n = 2000
	done := make(chan error, 1)
	go func() {
		r := l.Read(1)
		defer r.Close()
		for want := uint64(1); want <= n; want++ {
			position, b, err := r.Next(context.Background())
			if err != nil || position != want || !bytes.Equal(b, content(position)) {
				done <- fmt.Errorf("record %d: %d, %w", want, position, err)
				return
			}
		}
		_, _, err := r.Next(context.Background())
		done <- err
	}()
	// Several at once: their contents are of the positions that they get.
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range n / 8 {
				if err := fill(l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

// fill appends a record that depends on its position; all are of the same size.
func fill(l *Log) error {
	var b *Batch
	var err error
	for {
		next := l.Last() + 1
		size := len(content(next))
		b, err = l.Fill(context.Background(), []int{size}, func(_ int, position uint64, into []byte) error {
			c := content(position)
			if len(c) != len(into) {
				return errAgain
			}
			copy(into, c)
			return nil
		})
		if !errors.Is(err, errAgain) {
			break
		}
	}
	if err != nil {
		return err
	}
	return b.Wait(context.Background())
}

var errAgain = errors.New("another position than was hoped for")

func TestQueueIsSyncedWithTheNext(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	b, first, err := l.Queue(t.Context(), content(1), content(2))
	if err != nil || first != 1 {
		t.Fatal(first, err)
	}
	select {
	case <-b.Done():
		t.Fatal("synced without being asked")
	default:
	}
	if position, err := l.Append(t.Context(), content(3)); err != nil || position != 3 {
		t.Fatal(position, err)
	}
	<-b.Done()
	expect(t, l, 3)
	if _, _, err := l.Queue(t.Context(), content(4)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, open(t, dir), 4)
}

func TestOneProcessHasIt(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("opened twice: %v", err)
	}
	add(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(dir, 1)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	away := filepath.Join(t.TempDir(), "away")
	if err := errors.Join(os.Rename(path, away), os.Symlink(away, path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, syscall.ELOOP) {
		t.Fatalf("a link was followed: %v", err)
	}
}

// After a failed sync nothing is accepted, also not when syncs succeed again.
func TestFailedSyncIsFinal(t *testing.T) {
	dir := t.TempDir()
	failing := false
	l := openWith(t, Options{Dir: dir, SegmentSize: minSegmentSize, sync: func(f *os.File) error {
		if failing {
			return syscall.EIO
		}
		return syncData(f)
	}})
	add(t, l, 5)
	l.spares.wait.Wait()
	failing = true
	if _, err := l.Append(t.Context(), content(6)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("acknowledged without a sync: %v", err)
	}
	failing = false
	if _, err := l.Append(t.Context(), content(6)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("accepted after a failed sync: %v", err)
	}
	if l.Last() != 5 || l.Err() == nil {
		t.Fatal("what was not synced counts")
	}
	if err := l.Close(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("closed without a word: %v", err)
	}
	l = open(t, dir)
	if last := l.Last(); last != 5 && last != 6 {
		t.Fatalf("last is %d", last)
	}
	expect(t, l, l.Last())
}

// A write that fails half way leaves nothing behind, and takes neither the last record
// nor the positions.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	failing := false
	write := func(f *os.File, b []byte, at int64) (int, error) {
		n, err := f.WriteAt(b, at)
		if err == nil && failing {
			err = syscall.ENOSPC
		}
		return n, err
	}
	l := openWith(t, Options{Dir: dir, SegmentSize: minSegmentSize, write: write})
	record := make([]byte, 500)
	for range 40 { // the failure is also the first write into a segment
		failing = true
		if _, err := l.Append(t.Context(), record, record); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("acknowledged: %v", err)
		}
		last := l.Last()
		if err := l.Cut(last); err != nil {
			t.Fatal(err)
		}
		if first := l.First(); last > 0 && first > last {
			t.Fatalf("the last record went: first is %d, last %d", first, last)
		}
		failing = false
		if position, err := l.Append(t.Context(), record); err != nil || position != last+1 {
			t.Fatal(position, err)
		}
		again := quick(t, snapshot(t, dir))
		if again.Last() != last+1 {
			t.Fatalf("after a crash last is %d, want %d: of the failed batch something is left", again.Last(), last+1)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// New segments cannot be made: what waits for one fails, and later records get the
// positions anew.
func TestNoRoomForASegment(t *testing.T) {
	// In a process of its own: the limit holds for all of it, and go test has a file that
	// grows, too.
	const own = "SALLYPORT_WAL_NO_ROOM"
	if os.Getenv(own) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoRoomForASegment$", "-test.v")
		cmd.Env = append(os.Environ(), own+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	l := open(t, dir)
	l.spares.wait.Wait()
	add(t, l, 3)
	full := func(on bool) { // no file can grow beyond the size of those that are there
		limit := syscall.Rlimit{Cur: 1<<63 - 1, Max: 1<<63 - 1}
		if on {
			limit.Cur = minSegmentSize
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Skip("the limit of file sizes cannot be set:", err)
		}
	}
	l.o.SegmentSize = 2 * minSegmentSize // of new ones; those that wait do not fit
	full(true)
	defer full(false)
	var err error
	acknowledged := l.Last()
	for range 100 {
		if err = addOne(l); err != nil {
			break
		}
		acknowledged = l.Last()
	}
	if !errors.Is(err, syscall.EFBIG) || acknowledged < 4 {
		t.Fatalf("%d records, then %v", acknowledged, err)
	}
	// Two in one batch of which only one has room: the other one fails.
	if _, err := l.Append(t.Context(), content(l.Last()+1), make([]byte, minSegmentSize)); err == nil {
		t.Fatal("accepted while there is no room")
	}
	if err := l.Err(); err != nil {
		t.Fatalf("a full disk ended everything: %v", err)
	}
	full(false)
	acknowledged = l.Last()
	add(t, l, 30)
	expect(t, l, acknowledged+30)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, open(t, dir), acknowledged+30)
}

func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("wal-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no tmpfs can be mounted here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	l := open(t, dir)
	var err error
	for range 1000 {
		if err = addOne(l); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	last := l.Last()
	expect(t, l, last)
	if err := l.Cut(last / 2); err != nil {
		t.Fatal(err)
	}
	add(t, l, 5) // into a segment that was cut
	expect(t, l, last+5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	expect(t, l, last+5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
