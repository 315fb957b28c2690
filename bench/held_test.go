package bench

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/server"
)

// BenchmarkHeld holds requests for an approval, each on a TLS connection of its own, and
// answers some of them one after the other, as an approver does over NATS. KiB/held is
// what the process grew by, clients included, from open connections to held requests;
// the times are from the answer's sending to AWS's answer at the client.
func BenchmarkHeld(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("held=%d", n), func(b *testing.B) { held(b, n) })
	}
}

// holding is a gateway that asks for every write.
type holding struct {
	proxy  string
	roots  *x509.CertPool
	trial  *identity.Trial
	client *approvals.Client
}

func newHolding(b *testing.B, u *upstream) *holding {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{
		"aws.crt": string(u.roots),
		"policy.yaml": `rules:
  - {name: write, who: {groups: [ai-agents]}, targets: [dev], actions: ["dynamodb:PutItem"], effect: ask, approvers: {groups: [sre]}}
  - {name: read, who: {groups: [ai-agents]}, targets: [dev], actions: ["dynamodb:GetItem"], effect: allow}
`,
		"sallyport.yaml": fmt.Sprintf(`state_dir: %q
proxy: {listen: "127.0.0.1:0"}
aws: {endpoint: "https://%s", ca_file: aws.crt}
identity: {local: true}
targets: {dev: {role_arn: %q, default: true}}
approvals: {hold: 10m, max_pending_per_identity: 5}
nats: {listen: "127.0.0.1:0"}
admin: {listen: ""}
`, filepath.Join(dir, "state"), u.ln.Addr(), awstest.RoleARN),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "sallyport.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := server.Start(b.Context(), server.Options{Config: c, Base: &server.BaseKey{ID: awstest.BaseKeyID, Secret: secret.New(awstest.BaseSecret)}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	h := &holding{proxy: s.Proxy.String(), roots: x509.NewCertPool()}
	if h.trial, err = identity.OpenTrial(c.StateDir); err != nil {
		b.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(c.StateDir, "ca", "root.crt"))
	if err != nil {
		b.Fatal(err)
	}
	h.roots.AppendCertsFromPEM(pem)
	conn, err := bus.Connect(b.Context(), bus.Options{Role: bus.Approver, URL: s.NATS, CredsFile: filepath.Join(c.StateDir, "nats", "approver.creds")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	if h.client, err = approvals.NewClient(approvals.ClientOptions{Conn: conn}); err != nil {
		b.Fatal(err)
	}
	return h
}

// agent is one connection; five agents share an identity.
func (h *holding) agent(b *testing.B, i int) *http.Client {
	b.Helper()
	token, err := h.trial.Token(fmt.Sprint("agent-", i/5), []string{"ai-agents"}, identity.TrialAudience, time.Hour, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return way{&url.URL{Scheme: "http", Host: h.proxy, User: url.UserPassword("bench", token.Reveal())}, h.roots}.client()
}

func call(b *testing.B, c *http.Client, operation, body string) error {
	r := request(b, http.MethodPost, dynamoHost, "/", "dynamodb", body)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, resp.Header.Get("X-Sallyport-Reason"))
	}
	return err
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func held(b *testing.B, n int) {
	h := newHolding(b, newUpstream(b))
	clients := make([]*http.Client, n)
	for i := range clients {
		clients[i] = h.agent(b, i)
		defer clients[i].CloseIdleConnections()
		if err := call(b, clients[i], "GetItem", getItem); err != nil {
			b.Fatal(err)
		}
	}
	before := inUse()
	// Who is asked for is told by the subject and the note.
	arrived := make([]chan time.Time, n)
	var wait sync.WaitGroup
	for i, c := range clients {
		arrived[i] = make(chan time.Time, 1)
		wait.Go(func() {
			if err := call(b, c, "PutItem", fmt.Sprintf(`{"TableName":"Customers","Item":{"id":{"S":"%d"},"note":{"S":"%s"}}}`, i, strings.Repeat("n", 200))); err != nil {
				b.Error(err)
			}
			arrived[i] <- time.Now()
		})
	}
	open := h.all(b, n)
	grown := inUse() - before
	answered := 0
	var took []time.Duration
	order := rand.Perm(n)
	for b.Loop() {
		if answered == min(n, 100) {
			continue // each is answered once; more rounds measure nothing more
		}
		i := order[answered]
		answered++
		start := time.Now()
		h.allow(b, open[fmt.Sprint(i)])
		took = append(took, (<-arrived[i]).Sub(start))
	}
	b.StopTimer()
	b.ReportMetric(float64(grown)/1024/float64(n), "KiB/held")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	for _, i := range order[answered:] {
		h.allow(b, open[fmt.Sprint(i)])
	}
	wait.Wait()
}

// all waits for n requests to be asked for, and gives them by the key of their item.
func (h *holding) all(b *testing.B, n int) map[string]approvals.Request {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	out := map[string]approvals.Request{}
	add := func(r approvals.Request) {
		item, _ := r.Parameters["Item"].(map[string]any)
		id, _ := item["id"].(map[string]any)
		out[fmt.Sprint(id["S"])] = r
		if len(out) == n {
			cancel()
		}
	}
	err := h.client.Follow(ctx, func(list []approvals.Request) error {
		for _, r := range list {
			add(r)
		}
		return nil
	}, func(u approvals.Update) error {
		if u.Request != nil {
			add(*u.Request)
		}
		return nil
	}, nil)
	if err != nil || len(out) != n {
		b.Fatalf("%d of %d are asked for: %v", len(out), n, err)
	}
	return out
}

func (h *holding) allow(b *testing.B, r approvals.Request) {
	b.Helper()
	token, err := h.trial.Token("ann", []string{"sre"}, identity.ApproverAudience, time.Hour, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if err := h.client.Answer(b.Context(), approvals.Answer{Approval: r.Approval, Digest: r.Digest, Decision: approvals.Allow, Token: token.Reveal()}); err != nil {
		b.Fatal(err)
	}
}
