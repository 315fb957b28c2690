package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// withOneGiB are the clients that move a gibibyte in every run: one for each form of a
// payload, in parts, and one that cannot send parts.
var withOneGiB = []string{"AWS CLI v2", "s3cmd", "curl --aws-sigv4"}

// A gibibyte up and down, in parts and in one request: it arrives whole, the
// gateway's memory does not grow with it, and nothing of it stays in its folder.
// SALLYPORT_ONE_GIB=all does it with all clients, and all that they have both ways.
func TestOneGiB(t *testing.T) {
	all := os.Getenv("SALLYPORT_ONE_GIB") == "all"
	r := startMinIO(t)
	// By digest: what is recorded of a hundred parts, up to body_limit of each, is in the
	// embedded NATS server's memory for a while, which docs/operations.md tells.
	w, gateway := inFront(t, r, "", "record: {bodies: digest}")
	files := t.TempDir()
	random(t, filepath.Join(files, "warm"), 15<<20)
	sum := random(t, filepath.Join(files, "gib"), 1<<30)
	for _, c := range everyClient() {
		if c.remove == "" || !all && !slices.Contains(withOneGiB, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			version := c.look(t)
			g := &oneGiB{newMatrix(t, w, r, c, files), gateway, sum}
			if c.multi != "" {
				t.Logf("| %s | %s | in parts: %s |", c.name, version, g.move(c.multi))
			}
			if c.multi == "" || all && !c.oneChunk {
				t.Logf("| %s | %s | in one request: %s |", c.name, version, g.move(c.put))
			}
			if c.stream != "" && all {
				t.Logf("| %s | %s | in one request, a stream: %s |", c.name, version, g.move(c.stream))
			}
		})
	}
}

type oneGiB struct {
	*matrix
	gateway *process
	sum     string // of the file
}

// move sends the file by a line of the client, gets it back, and says how long it
// took.
func (g *oneGiB) move(line string) string {
	g.t.Helper()
	g.step(line, "warm", "warm")
	g.step(g.c.get, "warm", "warm")
	before := peak(g.t, g.gateway)
	g.r.took()

	start := time.Now()
	g.step(line, "gib", "gib")
	up := time.Since(start)
	sent, _ := uploads(g.r.took())
	if g.r.sum(g.t.Context(), g.t, g.prefix+"gib") != g.sum {
		g.t.Fatal("another object arrived than was sent")
	}
	start = time.Now()
	g.step(g.c.get, "gib", "gib")
	down := time.Since(start)
	if fileSum(g.t, filepath.Join(g.dir, "down")) != g.sum {
		g.t.Fatal("another object came back than was sent")
	}
	g.step(g.c.remove, "gib", "gib")
	after := peak(g.t, g.gateway)
	if after-before > 64<<10 {
		g.t.Errorf("the gateway's memory grew from %d to %d KiB", before, after)
	}
	waitFor(g.t, "an empty temporary folder of the gateway", func() bool {
		left, err := os.ReadDir(filepath.Join(g.w.dir, "tmp"))
		return err == nil && len(left) == 0
	})
	return fmt.Sprintf("%s: up %.1f s, down %.1f s, the gateway's memory before %d MiB, at its peak %d MiB",
		sent, up.Seconds(), down.Seconds(), before>>10, after>>10)
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
