// Package privatefile reads and writes files that hold keys. It reads only plain
// files that nobody else can read or write, and replaces files as a whole.
package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Read returns a private file's content, which the caller should clear. A link, a
// device or a file whose mode lets others in is an error that says how to mend it;
// a missing file is fs.ErrNotExist.
func Read(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file: a link could lead to somebody else's key", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, others can read or write it: run chmod 600 %s, and if somebody may have had it, have a new one made in its place", path, mode, path)
	}
	return os.ReadFile(path)
}

// Replace writes a file of the given mode in one step and syncs it: it is never
// there in half, and a link at its place is replaced, not followed.
func Replace(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
