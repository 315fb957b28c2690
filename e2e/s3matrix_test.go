package e2e_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inFront is a world whose gateway runs in front of r, with further sections in its
// configuration. Its temporary folder is its own.
func inFront(t *testing.T, r *referee, sections ...string) (w *world, gateway *process) {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	w = &world{t: t, dir: t.TempDir(), proxy: "127.0.0.1:" + freePort(t), env: []string{"AWS_REGION=" + r.region, "AWS_DEFAULT_REGION=" + r.region}}
	w.must("init", "--role-arn", role)
	w.copy("matrix.yaml")
	w.copy("sallyport.yaml", "{{proxy}}", w.proxy, "{{moto}}", r.front.URL, "{{role}}", role, "us-east-1", r.region, "policy.yaml", "matrix.yaml")
	w.write("sallyport.yaml", w.read("sallyport.yaml")+strings.Join(sections, "\n"))
	w.must("check")
	if err := os.Mkdir(filepath.Join(w.dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	env := w.env
	w.env = append(w.env, "TMPDIR="+filepath.Join(w.dir, "tmp"))
	gateway = w.begin("serve")
	w.env = env
	t.Cleanup(func() {
		left, err := os.ReadDir(filepath.Join(w.dir, "tmp"))
		if err != nil || len(left) > 0 {
			t.Errorf("the gateway left %v in its temporary folder (%v)", left, err)
		}
	})
	return w, gateway
}

// random writes a file of n bytes that do not repeat, and gives its SHA-256.
func random(t *testing.T, path string, n int64) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{}), n); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fileSum is the SHA-256 of a file; "" when it is not there.
func fileSum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// oddName is hard to sign: what is encoded by one and not by another, and letters
// beyond ASCII.
const oddName = "a b+c&d=é~ü'(1).txt"

var referees = []struct {
	name  string
	start func(*testing.T) *referee
}{{"MinIO", startMinIO}, {"versitygw", startVersity}}

// Every client, unmodified, through the gateway to servers that verify what it
// signed: uploads of each size and form arrive whole, and come back whole.
func TestS3Matrix(t *testing.T) {
	files := t.TempDir()
	for name, size := range map[string]int64{"empty": 0, "small": 1 << 10, "medium": 15 << 20, "large": 20 << 20} {
		random(t, filepath.Join(files, name), size)
	}
	for _, r := range referees {
		t.Run(r.name, func(t *testing.T) {
			referee := r.start(t)
			w, _ := inFront(t, referee)
			for _, c := range everyClient() {
				if c.otherHost && referee.name == "versitygw" {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					version := c.look(t)
					m := newMatrix(t, w, referee, c, files)
					m.run()
					t.Logf("| %s | %s | %s | %s |", c.name, version, r.name, strings.Join(m.forms, ", "))
				})
			}
		})
	}
}

// matrix is one client before one referee.
type matrix struct {
	t      *testing.T
	w      *world
	r      *referee
	c      client
	bucket string
	files  string // the files to send
	dir    string // the client's own folder
	prefix string // of its keys
	forms  []string
}

func newMatrix(t *testing.T, w *world, r *referee, c client, files string) *matrix {
	return &matrix{t: t, w: w, r: r, c: c, bucket: matrixBucket, files: files, dir: t.TempDir(), prefix: strings.ReplaceAll(c.name, " ", "-") + "/"}
}

func (m *matrix) run() {
	odd := oddName
	if m.c.plusInURL && m.r.name == "versitygw" {
		odd = strings.ReplaceAll(odd, "+", "")
	}
	m.upload("0 B", m.c.put, "empty", "empty")
	m.upload("1 KiB", m.c.put, "small", odd)
	if m.c.oneChunk && m.r.name == "MinIO" {
		m.upload("15 MiB", m.c.put, "medium", "large")
	} else {
		m.upload("20 MiB", m.c.put, "large", "large")
	}
	if m.c.stream != "" {
		m.upload("20 MiB, a stream", m.c.stream, "large", "stream")
	}
	if m.c.multi != "" {
		m.upload("parts", m.c.multi, "large", "parts")
	}

	if m.c.remove == "" {
		return
	}
	if out := m.step(m.c.head, "small", odd); !strings.Contains(out, "1024") {
		m.t.Errorf("the head of an object of 1024 bytes: %s", out)
	}
	m.step(m.c.part, "small", odd)
	small, err := os.ReadFile(filepath.Join(m.files, "small"))
	if err != nil {
		m.t.Fatal(err)
	}
	if part, err := os.ReadFile(filepath.Join(m.dir, "down")); err != nil || string(part) != string(small[100:200]) {
		m.t.Errorf("bytes 100 to 199 are others: %d bytes, %v", len(part), err)
	}
	if !slices.ContainsFunc(m.r.took(), func(s seen) bool { return s.status == http.StatusPartialContent }) {
		m.t.Error("no range was asked for")
	}
	if out := m.step(m.c.list, "small", ""); !listed(out, odd) || !listed(out, "large") {
		m.t.Errorf("the listing lacks objects:\n%s", out)
	}
	m.step(m.c.remove, "small", odd)
	if m.r.sum(m.t.Context(), m.t, m.prefix+odd) != "" {
		m.t.Error("the deleted object is still there")
	}
}

// listed reports whether a listing has a name, or an XML one of it.
func listed(out, name string) bool {
	return strings.Contains(out, name) || strings.Contains(out, strings.NewReplacer("&", "&amp;", "'", "&#39;").Replace(name))
}

// upload sends a file, looks at what the referee has, and gets it back.
func (m *matrix) upload(size, line, file, name string) {
	m.t.Helper()
	want := fileSum(m.t, filepath.Join(m.files, file))
	m.r.took()
	m.step(line, file, name)
	forms, parts := uploads(m.r.took())
	m.forms = append(m.forms, size+": "+forms)
	if size == "parts" && parts < 2 {
		m.t.Errorf("%d parts", parts)
	}
	if got := m.r.sum(m.t.Context(), m.t, m.prefix+name); got != want {
		m.t.Errorf("%s: %s has another object than was sent (%q)", size, m.r.name, got)
		return
	}
	m.step(m.c.get, file, name)
	if got := fileSum(m.t, filepath.Join(m.dir, "down")); got != want {
		m.t.Errorf("%s: another object came back (%q)", size, got)
	}
}

// step runs a line of the client about an object and gives what it printed. What
// it received is in the file "down".
func (m *matrix) step(line, file, name string) string {
	m.t.Helper()
	res := m.try(line, file, name)
	if res.code != 0 {
		m.t.Errorf("%s: %v", line, res)
	}
	return res.stdout
}

func (m *matrix) try(line, file, name string) result {
	m.t.Helper()
	_ = os.Remove(filepath.Join(m.dir, "down"))
	return m.w.agent(m.c, line, "B="+m.bucket, "K="+m.prefix+name, "U="+pathEscape(m.prefix+name), "P="+m.prefix, "R="+m.r.region,
		"F="+filepath.Join(m.files, file), "D="+filepath.Join(m.dir, "down"), "W="+m.dir)
}

func pathEscape(key string) string {
	parts := strings.Split(key, "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(parts[i]), "+", "%20")
	}
	return strings.Join(parts, "/")
}

// uploads are the forms of the bodies among what was seen, and how many of them
// were parts.
func uploads(all []seen) (forms string, parts int) {
	found := map[string]bool{}
	for _, s := range all {
		if s.method == http.MethodPost && len(s.query) == 0 {
			found["form"] = true
		}
		if s.method != http.MethodPut {
			continue
		}
		if s.query.Has("partNumber") {
			parts++
		}
		form := s.payload
		if s.framing == "chunked" {
			form += " (chunked)"
		}
		found[form] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), " and "), parts
}

// An upload that policy refuses does not end in a broken connection, of any size:
// the client says that it was refused, and nothing went on.
func TestRefusedUploads(t *testing.T) {
	files := t.TempDir()
	random(t, filepath.Join(files, "large"), 20<<20)
	referee := startMinIO(t)
	w, _ := inFront(t, referee)
	for _, c := range everyClient() {
		t.Run(c.name, func(t *testing.T) {
			c.look(t)
			m := newMatrix(t, w, referee, c, files)
			m.bucket = "acme-other"
			for _, line := range []string{c.put, c.stream, c.multi} {
				if line == "" {
					continue
				}
				referee.took()
				res := m.try(line, "large", "large")
				out := res.stdout + res.stderr
				if res.code == 0 || !strings.Contains(out, cmp.Or(c.refused, "no rule allows")) {
					t.Errorf("%s: %v", line, res)
				}
				if sent := referee.took(); len(sent) > 0 {
					t.Errorf("%s: %v was sent", line, sent)
				}
			}
		})
	}
}
