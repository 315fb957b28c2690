package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A gibibyte up and down, in one request and in parts: it arrives whole, and the
// gateway's memory does not grow with it.
func TestOneGiB(t *testing.T) {
	r := startMinIO(t)
	w, gateway := inFront(t, r)
	files := t.TempDir()
	var sum string
	for _, c := range everyClient() {
		line, form := c.multi, "in parts"
		switch c.name {
		case "AWS CLI v1":
		case "curl --aws-sigv4":
			line, form = c.put, "in one request"
		default:
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			c.look(t)
			if sum == "" {
				random(t, filepath.Join(files, "warm"), 20<<20)
				sum = random(t, filepath.Join(files, "gib"), 1<<30)
			}
			m := newMatrix(t, w, r, c, files)
			m.step(line, "warm", "warm")
			m.step(c.get, "warm", "warm")
			before := peak(t, gateway)

			start := time.Now()
			m.step(line, "gib", "gib")
			up := time.Since(start)
			if r.sum(t.Context(), t, m.prefix+"gib") != sum {
				t.Fatal("another object arrived than was sent")
			}
			start = time.Now()
			m.step(c.get, "gib", "gib")
			down := time.Since(start)
			if fileSum(t, filepath.Join(m.dir, "down")) != sum {
				t.Fatal("another object came back than was sent")
			}
			m.step(c.remove, "gib", "gib")
			if after := peak(t, gateway); after-before > 64<<10 {
				t.Errorf("the gateway's memory grew from %d to %d KiB", before, after)
			} else {
				t.Logf("1 GiB %s: up %.1fs, down %.1fs, the gateway's memory peaked at %d KiB, %d before", form, up.Seconds(), down.Seconds(), after, before)
			}
		})
	}
}

// peak is the most memory in KiB that the process had resident since peak was
// called last; 0 where the system does not say.
func peak(t *testing.T, p *process) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	text, err := os.ReadFile(dir + "status")
	if err != nil {
		return 0
	}
	_ = os.WriteFile(dir+"clear_refs", []byte("5"), 0o200) // begins the peak anew
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	return 0
}
