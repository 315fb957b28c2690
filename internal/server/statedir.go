package server

import (
	"fmt"
	"os"
)

// secureStateDir makes state_dir, or refuses one that others can look into: it
// holds the CA's keys and the record.
func secureStateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("state_dir %s has mode %04o: others could read keys and records; mend it with: chmod 700 %s", dir, mode, dir)
	}
	return nil
}
