package wal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData is fdatasync: a segment has its size and place from the start, so that a
// sync has no metadata to write.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
