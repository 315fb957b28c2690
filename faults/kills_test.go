package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// got is what a client saw of one request.
type got struct {
	key      string
	exchange string // as the answer names it
	complete bool   // a 200, to its last byte
}

// TestRandomKills sends requests while the gateway, NATS and the recorder are killed
// at random and begun anew.
func TestRandomKills(t *testing.T) {
	n := 200
	if s := os.Getenv("SALLYPORT_FAULTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("SALLYPORT_FAULTS=%q: a number of requests", s)
		}
	}
	r := newRig(t)
	const workers = 8
	var next atomic.Int64
	done := make(chan struct{}, n) // one for each request that has ended
	answers := make(chan got, n)
	var work sync.WaitGroup
	for range workers {
		client := s3.New(s3.Options{
			Region: "us-east-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("dev", "placeholder", ""),
			HTTPClient: r.agent(), RetryMaxAttempts: 1,
		})
		work.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				g := ask(t.Context(), client, fmt.Sprintf("k-%06d", i))
				answers <- g
				if !g.complete { // something is dead: leave requests for when it lives
					r.whole.RLock()
					r.whole.RUnlock() //nolint:staticcheck // only to wait for it
				}
				done <- struct{}{}
			}
		})
	}
	kills := r.killer(n, done)
	work.Wait()
	close(answers)
	deaths := <-kills

	// All come back and bring the record up to what there is.
	for _, p := range []*role{r.nats, r.gateway, r.recorder} {
		p.end(syscall.SIGTERM)
	}
	for _, p := range []*role{r.nats, r.gateway, r.recorder} {
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
	}
	if g := ask(t.Context(), s3.New(s3.Options{Region: "us-east-1", UsePathStyle: true, HTTPClient: r.agent(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("dev", "placeholder", "")}), "last"); !g.complete {
		t.Fatal("at the end nothing works any more")
	}
	r.gateway.end(syscall.SIGTERM)
	r.recorder.end(syscall.SIGTERM) // it writes what the stream still holds first
	r.check(t, answers, deaths)
}

func ask(ctx context.Context, c *s3.Client, key string) got {
	g := got{key: key}
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("acme"), Key: aws.String(key)}, func(o *s3.Options) {
		o.HTTPClient = &seeing{o.HTTPClient, &g}
	})
	if err != nil {
		return g
	}
	defer func() { _ = out.Body.Close() }()
	b, err := io.Copy(io.Discard, out.Body)
	g.complete = err == nil && b == answer
	return g
}

// seeing notes which exchange an answer was of.
type seeing struct {
	s3.HTTPClient
	g *got
}

func (s *seeing) Do(r *http.Request) (*http.Response, error) {
	resp, err := s.HTTPClient.Do(r)
	if err == nil {
		s.g.exchange = resp.Header.Get("X-Sallyport-Request-Id")
	}
	return resp, err
}

// killer kills one of the three after every few of n requests, at a moment in the midst
// of others.
func (r *rig) killer(n int, done <-chan struct{}) <-chan map[string]int {
	out := make(chan map[string]int, 1)
	go func() {
		defer close(out)
		deaths := map[string]int{}
		random := rand.New(rand.NewPCG(1, 2))
		for left := n; ; {
			for range min(left, 3+random.IntN(30)) {
				<-done
				left--
			}
			if left == 0 {
				break
			}
			p := []*role{r.gateway, r.nats, r.recorder}[random.IntN(3)]
			r.whole.Lock()
			p.end(syscall.SIGKILL)
			deaths[p.name]++
			err := p.start()
			r.whole.Unlock()
			if err != nil {
				r.t.Error(err)
				break
			}
			for more := true; more; { // what ended meanwhile does not count
				select {
				case <-done:
					left--
				default:
					more = false
				}
			}
		}
		out <- deaths
	}()
	return out
}

// check holds what reached AWS and the clients against the record.
func (r *rig) check(t *testing.T, answers <-chan got, deaths map[string]int) {
	t.Helper()
	requests, allowed, responses := map[string]string{}, map[string]bool{}, map[string]bool{}
	perKey, lines, damaged := map[string]int{}, map[string]int{}, 0
	ends, lost := map[string][]event.Data{}, 0
	records := recorder.Records{Dir: filepath.Join(r.dir, "recorder", "records")}
	err := records.Entries(t.Context(), 0, func(e recorder.Entry) error {
		if e.Err != nil {
			damaged++
			t.Errorf("the record is damaged: %v", e.Err)
			return nil //nolint:nilerr // damage is told, and counted
		}
		lines[event.LineDigest(e.Line)]++
		if event.Ends(e.Event.Data) {
			ends[e.Event.Exchange()] = append(ends[e.Event.Exchange()], e.Event.Data)
		}
		switch d := e.Event.Data.(type) {
		case *event.Request:
			requests[d.RequestID] = d.Path
			perKey[d.Path]++
		case *event.Decision:
			allowed[d.RequestID] = d.Effect == "allow"
		case *event.Response:
			responses[d.RequestID] = d.Status == http.StatusOK
		case *event.Aborted:
			if d.Stage == recorder.StageLost {
				lost++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range requests {
		if len(ends[id]) != 1 {
			t.Errorf("request %s has %d ends", id, len(ends[id]))
			for _, d := range ends[id] {
				t.Logf("%s %+v", d.Kind(), d)
			}
		}
	}
	allowedPaths := map[string]int{}
	for id, path := range requests {
		if allowed[id] {
			allowedPaths[path]++
		}
	}
	r.aws.mu.Lock()
	defer r.aws.mu.Unlock()
	forwarded := 0
	for path, times := range r.aws.seen {
		forwarded += times
		if allowedPaths[path] < times {
			t.Errorf("%s reached AWS %d times, and is on record %d times", path, times, allowedPaths[path])
		}
	}
	complete := 0
	for g := range answers {
		if g.complete {
			complete++
			if !responses[g.exchange] {
				t.Errorf("%s: a client has the whole answer of %s, and no record of it is there", g.key, g.exchange)
			}
		}
	}
	report, err := records.Verify(t.Context(), recorder.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK || report.Alarms > 0 {
		t.Errorf("verify: %d alarms, %d problems: %+v", report.Alarms, report.ProblemsTotal, report.Problems)
	}
	twice := 0
	for _, n := range lines {
		twice += n - 1
	}
	if forwarded == 0 || complete == 0 || len(deaths) == 0 {
		t.Errorf("forwarded %d, complete %d, deaths %v: this proves nothing", forwarded, complete, deaths)
	}
	text := strings.TrimPrefix(fmt.Sprint(deaths), "map")
	t.Logf("killed %s; requests on record %d, allowed %d, reached AWS %d, complete answers %d, on record %d, ended by a later start %d; lines twice %d, damaged %d, whole %v", text, len(requests), len(allowedPaths), forwarded, complete, len(responses), lost, twice, damaged, report.OK)
}
