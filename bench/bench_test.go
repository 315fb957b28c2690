package bench

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var getItem = `{"TableName":"Customers","Key":{"id":{"S":"c-1001"}},"ProjectionExpression":"` + strings.Repeat("a", 200) + `"}`

func request(b *testing.B, method, host, target, service, body string) *http.Request {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, "https://"+host+target, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=dev/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("0", 64))
	return r
}

// run sends b.N requests over this many connections, and reports their median
// and 99th percentile.
func run(b *testing.B, w way, connections int, one func(*http.Client) error) {
	b.Helper()
	clients := make([]*http.Client, connections)
	for i := range clients {
		clients[i] = w.client()
		defer clients[i].CloseIdleConnections()
		if err := one(clients[i]); err != nil { // the tunnel, TLS, the session
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	b.ResetTimer()
	for _, c := range clients {
		wait.Go(func() {
			var own []time.Duration
			for next.Add(1) <= int64(b.N) {
				start := time.Now()
				if err := one(c); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	wait.Wait()
	b.StopTimer()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func item1KB(b *testing.B) func(*http.Client) error {
	return func(c *http.Client) error {
		r := request(b, http.MethodPost, dynamoHost, "/", "dynamodb", getItem)
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
		return finish(c, r, int64(len(item)))
	}
}

func finish(c *http.Client, r *http.Request, want int64) error {
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != want) {
		err = fmt.Errorf("%s, %d bytes, want %d: %s", resp.Status, n, want, resp.Header.Get("X-Sallyport-Reason"))
	}
	return err
}

func small(b *testing.B, through func(*testing.B, *upstream) way) {
	u := newUpstream(b)
	w := through(b, u)
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) { run(b, w, n, item1KB(b)) })
	}
}

// BenchmarkGateway is a DynamoDB GetItem, 0.3 KB there and 1 KB back, through
// everything.
func BenchmarkGateway(b *testing.B) { small(b, throughGateway) }

// BenchmarkGoproxy is the same through goproxy, which only decrypts.
func BenchmarkGoproxy(b *testing.B) { small(b, throughGoproxy) }
