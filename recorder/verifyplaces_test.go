package recorder_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/recorder"
)

// A bad record is named by its segment, line and index, and once: the log leaves a file
// behind each time that it grows, all of which have the entry.
func TestVerifyNamesTheLine(t *testing.T) {
	origin := t.TempDir()
	o := recorder.StoreOptions{Dir: origin, SegmentSize: 12_000, KeyFile: filepath.Join(t.TempDir(), "r.key")}
	g := newGateway(t)
	for range 14 { // with tiles of the level above
		write(t, o, messages(t, g.day(ids.New(), 10)...))
	}
	left, err := filepath.Glob(filepath.Join(origin, "log/tile/0/000.p/*"))
	segments, err2 := filepath.Glob(filepath.Join(origin, "segments", "*.jsonl"))
	if len(left) < 6 || len(segments) < 3 || err != nil || err2 != nil {
		t.Fatalf("%d files of a tile, %d segments, %v, %v", len(left), len(segments), err, err2)
	}
	segment := "segments/" + filepath.Base(segments[1])
	var index uint64
	if _, err := fmt.Sscanf(filepath.Base(segment), "%d.jsonl", &index); err != nil {
		t.Fatal(err)
	}
	const n = 2 // the third line
	index += n
	for name, c := range map[string]struct {
		change func(lines [][]byte) [][]byte
		most   int
	}{
		"changed": {func(l [][]byte) [][]byte { // to another good event
			l[n] = bytes.Replace(l[n], []byte(`"id":"01`), []byte(`"id":"00`), 1)
			return l
		}, 6},
		"deleted": {func(l [][]byte) [][]byte { return slices.Delete(l, n, n+1) }, 9},
		"garbage": {func(l [][]byte) [][]byte { l[n] = []byte("{}\n"); return l }, 7},
	} {
		dir := cp(t, origin)
		before := read(t, dir, segment)
		lines := bytes.SplitAfter(before, []byte("\n"))
		after := bytes.Join(c.change(lines[:len(lines)-1]), nil)
		if bytes.Equal(before, after) {
			t.Fatal(name, "changes nothing")
		}
		if err := os.WriteFile(filepath.Join(dir, segment), after, 0o600); err != nil {
			t.Fatal(err)
		}
		r := verify(t, dir, recorder.VerifyOptions{})
		first, _ := r.First()
		if r.OK || first.File != filepath.Join(dir, segment) || first.Line != n+1 || first.Index == nil || *first.Index != index {
			t.Errorf("%s: the first is %s", name, first)
		}
		apart, above := 0, 0
		for _, p := range r.Problems {
			if p.Index != nil && (p.File == "" || strings.HasPrefix(p.File, filepath.Join(dir, "segments")) && p.Line == 0) {
				t.Errorf("%s: no place: %s", name, p)
			}
			if p.Index != nil && *p.Index == index && strings.Contains(p.Detail, "it is not the one that the log has (log/tile/") && strings.HasSuffix(p.Detail, " more files of the log)") {
				apart++
			}
			if strings.Contains(p.Detail, "from entry 0 on the log has another hash than the record (and 1 more files") {
				above++
			}
		}
		if apart != 1 || above != 1 && name != "deleted" || r.ProblemsTotal != len(r.Problems) || r.ProblemsTotal > c.most {
			t.Errorf("%s: %d problems, %d of the log: %v", name, r.ProblemsTotal, apart, r.Problems)
		}
		t.Logf("%s: %d problems: %s", name, r.ProblemsTotal, strings.ReplaceAll(fmt.Sprint(r.Problems), dir, ""))
	}
}
