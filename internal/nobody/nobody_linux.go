// Package nobody lets tests meet the modes of files as any user does, where they run as
// root.
package nobody

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// uid is nobody's (Debian).
const uid = 65534

// Do calls f with the rights of nobody where the tests run as root, whom no mode binds;
// else as it is. Only this thread has them, so f reads in no goroutine of its own. It
// skips the test where root may not become somebody else.
func Do(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(uid); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
		if now, err := unix.SetfsuidRetUid(-1); err != nil || now != uid {
			t.Skip("files that may not be read are met by becoming another user, which this root may not (no CAP_SETUID)")
		}
	}
	f()
}
