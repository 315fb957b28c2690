package recorder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/recorder"
)

// A store may be anybody's copy: what is no file in it is told, and neither waited for
// nor read without end.
func TestVerifyWhatIsNoFile(t *testing.T) {
	origin, _, _, _ := small(t)
	for name, put := range map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"large": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40))
		},
	} {
		for _, file := range []string{"format", recorder.VerifierFile, "log/checkpoint", "log/.state/treeState", "log/tile/entries/000.p/52", "log/tile/0/000.p/52",
			"segments/00000000000000000000.jsonl", "bodies/00000001.pack"} {
			if name == "large" && (file[:3] == "seg" || file[:3] == "bod") {
				continue // which are read piece by piece, however large
			}
			dir := cp(t, origin)
			path := filepath.Join(dir, file)
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				r, err := recorder.Records{Dir: dir}.Verify(ctx, recorder.VerifyOptions{})
				if err == nil && r.OK {
					t.Errorf("%s in place of %s was not found", name, file)
				}
				_, _ = recorder.Records{Dir: dir}.Prove(ctx, ids.New())
			}()
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatalf("%s in place of %s: verify does not end", name, file)
			}
		}
	}
}
