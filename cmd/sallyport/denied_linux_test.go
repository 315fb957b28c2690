package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/nobody"
)

// A copy that may not be read is neither forged nor no store.
func TestSessionsOfACopyThatMayNotBeRead(t *testing.T) {
	recorded(t)
	above := t.TempDir()
	copied := filepath.Join(above, "copy")
	if err := errors.Join(os.Chmod(filepath.Dir(above), 0o755), os.Chmod(above, 0o755), os.CopyFS(copied, os.DirFS(filepath.Join("state", "records")))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(copied, 0o700) }) // to be removed
	for folder, commands := range map[os.FileMode]map[string]string{
		0:     {"verify": "recorder.vkey", "list": "segments", "show": "segments", "export": "segments"},
		0o755: {"verify": "recorder.vkey", "list": "segments", "calls": "segments"},
	} {
		for _, name := range []string{"recorder.vkey", "segments"} {
			if err := os.Chmod(filepath.Join(copied, name), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(copied, folder); err != nil {
			t.Fatal(err)
		}
		for command, what := range commands {
			nobody.Do(t, func() {
				r := do(t, "sessions", command, "--records", copied)
				if r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, filepath.Join(copied, what)+": permission denied") || strings.Contains(r.stderr, "no store") {
					t.Errorf("%04o: %s: %+v", folder, command, r)
				}
			})
		}
		if err := errors.Join(os.Chmod(copied, 0o700), os.Chmod(filepath.Join(copied, "segments"), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
}
