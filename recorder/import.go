package recorder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// unended is for what must be read to its end before a store is of use.
var unended = context.Background()

const importedDir = "imported"

// importSessions takes over <session>.jsonl files of earlier versions: their lines, in
// the files' order, then the files go to imported/. A crash between does no harm: what
// is there already is left out.
func (s *Store) importSessions() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok && ValidSession(id) == nil {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	there := map[lineKey]struct{}{} // all: a file that was taken over before a crash may be long
	err = Records{Dir: s.dir}.lines(unended, 0, func(l rawLine) error {
		there[lineKey(l.digest[:16])] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, importedDir), 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if err := s.importFile(name, there); err != nil {
			return fmt.Errorf("take over %s: %w", name, err)
		}
	}
	return errors.Join(syncDir(s.dir), syncDir(filepath.Join(s.dir, importedDir)))
}

func (s *Store) importFile(name string, there map[lineKey]struct{}) error {
	path := filepath.Join(s.dir, name)
	f, err := openPlain(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	var batch []kept
	_, _, err = scan(f, func(l scanned) error { // a torn end was not acknowledged, and stays in the file
		if l.b == nil {
			return fmt.Errorf("line %d is longer than %d bytes", l.n, maxLine)
		}
		if _, twice := there[lineKey(l.digest[:16])]; twice {
			return nil
		}
		there[lineKey(l.digest[:16])] = struct{}{}
		if batch = append(batch, kept{line: append([]byte(nil), l.b...), old: true}); len(batch) < 1000 {
			return nil
		}
		err := s.write(batch)
		batch = batch[:0]
		return err
	})
	if err == nil {
		err = s.write(batch)
	}
	if err != nil {
		return err
	}
	to := filepath.Join(s.dir, importedDir, name)
	if _, err := os.Lstat(to); err == nil {
		to = fmt.Sprintf("%s-%d", to, s.now().UnixNano())
	}
	return os.Rename(path, to)
}
