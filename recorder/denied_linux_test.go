package recorder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/nobody"
	"github.com/sallyport/sallyport/recorder"
)

// A file that the caller may not read says nothing about the record: it is an error, and
// no verdict.
func TestVerifyWhatMayNotBeRead(t *testing.T) {
	origin, _, _, _ := small(t)
	some := entries(t, origin, 0)[0].Event.ID
	for _, name := range []string{".", recorder.VerifierFile, "format", "log", "log/checkpoint", "log/.state/treeState", "log/tile/0/000.p", "log/tile/0/000.p/52", "log/tile/entries/000.p/52",
		"segments", "segments/00000000000000000000.jsonl", "bodies", "bodies/00000001.pack"} {
		dir := filepath.Join(readable(t), "copy")
		if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
			t.Fatal(err)
		}
		deny(t, dir, name)
		nobody.Do(t, func() {
			r, err := recorder.Records{Dir: dir}.Verify(t.Context(), recorder.VerifyOptions{})
			if r != nil || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
				t.Errorf("%s: %v, %v", name, r, err)
			}
			if strings.HasPrefix(name, "log/tile/0/") {
				if _, err := (recorder.Records{Dir: dir}).Prove(t.Context(), some); !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "damaged") {
					t.Errorf("%s: prove: %v", name, err)
				}
			}
			if !strings.HasPrefix(name, "segments") {
				return
			}
			if _, problems, err := (recorder.Records{Dir: dir}).List(); len(problems) > 0 || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s: list: %v, %v", name, problems, err)
			}
		})
	}
}

// readable is a folder into which everybody may look.
func readable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// deny lets nobody but root read one file or folder of a tree, and everybody all others.
func deny(t *testing.T, dir, name string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
	if err == nil {
		err = os.Chmod(filepath.Join(dir, name), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, name), 0o700) }) // to be removed
}
