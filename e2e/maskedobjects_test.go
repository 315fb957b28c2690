package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Clients of S3 check what they get: lengths against HEAD and Content-Length, parts
// against ranges, checksums, ETags. With `objects: mask` a file that holds keys comes
// to each of them whole and of its length, with the keys overwritten.
func TestMaskedObjects(t *testing.T) {
	const key, instead = "AKIAQWERTYUIOPASDFGH", "sallyport/masked****"
	files := t.TempDir()
	line := []byte("2026-11-26T12:00:00Z INFO nothing to see in this line of a log file, move along\n")
	text := bytes.Repeat(line, (12<<20)/len(line))
	for _, at := range []int{0, 90, 5<<20 - 1, 8<<20 - 10, len(text) - len(key) - 2} { // over the borders of parts, too
		copy(text[at:], " "+key+" ")
	}
	want := bytes.ReplaceAll(text, []byte(key), []byte(instead))
	if n := bytes.Count(text, []byte(key)); n != 5 {
		t.Fatalf("%d keys were planted", n)
	}
	if err := os.WriteFile(filepath.Join(files, "log"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := startMinIO(t)
	w, _ := inFront(t, r, "mask: {objects: mask}")
	for _, c := range everyClient() {
		if c.remove == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			c.look(t)
			m := newMatrix(t, w, r, c, files)
			m.step(c.put, "log", "log")
			if r.sum(t.Context(), t, m.prefix+"log") != fileSum(t, filepath.Join(files, "log")) {
				t.Fatal("what was stored is not what was sent")
			}
			m.step(c.get, "log", "log")
			got, err := os.ReadFile(filepath.Join(m.dir, "down"))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes with %d keys, want %d with none: %v", len(got), bytes.Count(got, []byte(key)), len(want), err)
			}
			m.step(c.part, "log", "log")
			if part, err := os.ReadFile(filepath.Join(m.dir, "down")); err != nil || !bytes.Equal(part, want[100:200]) {
				t.Errorf("bytes 100 to 199: %q, %v", part, err)
			}
			if strings.Contains(string(got), key) {
				t.Error("a key came through")
			}
		})
	}
}
