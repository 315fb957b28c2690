package e2e_test

import (
	"cmp"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

const (
	xmlHead      = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	noSuchBucket = xmlHead + `<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>`
	slowDown     = xmlHead + `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`
)

// early are the ways in which S3 answers an upload of which most is still to come.
var early = []struct {
	name string
	say  func(w http.ResponseWriter, in *http.Request, status int, body string)
}{
	// Where the client waits for 100 Continue, it never sends the body.
	{"before the body", func(w http.ResponseWriter, _ *http.Request, status int, body string) {
		sayAtOnce(w, status, body)
	}},
	{"within the body", func(w http.ResponseWriter, in *http.Request, status int, body string) {
		_, _ = io.CopyN(io.Discard, in.Body, 1<<20)
		sayAtOnce(w, status, body)
		_, _ = io.Copy(io.Discard, in.Body) // or the answer is reset on its way
	}},
	// Chunked, and the last chunk comes when the upload has ended.
	{"within the body, ending behind it", func(w http.ResponseWriter, in *http.Request, status int, body string) {
		_, _ = io.CopyN(io.Discard, in.Body, 1<<20)
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, in.Body)
	}},
}

func sayAtOnce(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	_ = http.NewResponseController(w).Flush()
}

// S3 refuses an upload of 50 MiB while it is on its way: the client says what S3 said,
// and tries no second time. Where S3 is busy once, the client's second try arrives
// whole.
func TestEarlyAnswers(t *testing.T) {
	files := t.TempDir()
	sum := random(t, filepath.Join(files, "large"), 50<<20)
	r := startMinIO(t)
	w, _ := inFront(t, r)
	for _, c := range everyClient() {
		if c.remove == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			c.look(t)
			m := newMatrix(t, w, r, c, files)
			for _, e := range early {
				attempts, res := m.early(math.MaxInt64, func(w http.ResponseWriter, in *http.Request) { e.say(w, in, http.StatusNotFound, noSuchBucket) })
				if res.code == 0 || attempts != 1 || !strings.Contains(res.stdout+res.stderr, cmp.Or(c.noBucket, "NoSuchBucket")) {
					t.Errorf("404 %s: %d attempts; %v", e.name, attempts, res)
				}
			}
			if c.noRetry || c.oneChunk {
				return
			}
			attempts, res := m.early(1, func(w http.ResponseWriter, in *http.Request) {
				early[1].say(w, in, http.StatusServiceUnavailable, slowDown)
			})
			if res.code != 0 || attempts != 2 || r.sum(t.Context(), t, m.prefix+"large") != sum {
				t.Errorf("503 once: %d attempts; %v", attempts, res)
			}
		})
	}
}

// early uploads the large file in one request to an S3 that says something else to so
// many of the first attempts, and gives how many there were.
func (m *matrix) early(times int64, say http.HandlerFunc) (int64, result) {
	m.t.Helper()
	var attempts atomic.Int64
	m.r.answer(func(w http.ResponseWriter, in *http.Request) bool {
		if in.Method != http.MethodPut {
			return false
		}
		if attempts.Add(1) > times {
			return false
		}
		say(w, in)
		return true
	})
	defer m.r.answer(nil)
	res := m.try(m.c.put, "large", "large")
	return attempts.Load(), res
}
