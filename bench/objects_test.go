package bench

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const object = 1 << 30

// BenchmarkGetObject downloads 1 GiB over one connection.
func BenchmarkGetObject(b *testing.B) {
	both(b, func(b *testing.B, u *upstream, w way) {
		run(b, w, 1, func(c *http.Client) error {
			return finish(c, request(b, http.MethodGet, s3Host, "/bucket/key", "s3", ""), u.size)
		})
	})
}

// BenchmarkPutObject uploads 1 GiB over one connection, in each form in which clients
// upload; goproxy is the same for all.
func BenchmarkPutObject(b *testing.B) {
	for _, f := range []form{
		{"unsigned", "UNSIGNED-PAYLOAD", 0, 0, ""},
		{"trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 1 << 20, 0, "x-amz-checksum-crc32:W2TCsA==\r\n"},
		{"signed-chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 64 << 10, 64, ""},
	} {
		b.Run(f.name, func(b *testing.B) {
			both(b, func(b *testing.B, _ *upstream, w way) {
				run(b, w, 1, func(c *http.Client) error {
					r := request(b, http.MethodPut, s3Host, "/bucket/key", "s3", "")
					f.fill(r)
					return finish(c, r, int64(len(item)))
				})
			})
		})
	}
}

// both measures the gateway and goproxy alone, with the heap's growth and the processor
// time of a GiB, which holds still where other work on the machine moves the speed:
// client, proxy and upstream share them.
func both(b *testing.B, one func(*testing.B, *upstream, way)) {
	for name, through := range map[string]func(*testing.B, *upstream) way{"gateway": throughGateway, "goproxy": throughGoproxy} {
		b.Run(name, func(b *testing.B) {
			u := newUpstream(b)
			u.size = object
			w := through(b, u)
			b.SetBytes(object)
			grown := watchHeap()
			before := processorTime(b)
			one(b, u, w)
			b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N+1), "cpu-s/GiB") // run sends one more first
			b.ReportMetric(grown(), "MiB-grown")
		})
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap samples the heap until the result is asked for: how much more was in use
// at the most than at the beginning, in MiB.
func watchHeap() func() float64 {
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before, most := inUse(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, inUse())
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-done
		return float64(most-min(before, most)) / (1 << 20)
	}
}

// form is one way to upload.
type form struct {
	name, payload string
	chunk         int // bytes in a chunk; 0: not chunked
	signature     int // characters of a chunk's signature
	trailer       string
}

// fill gives r the object as its body.
func (f form) fill(r *http.Request) {
	r.Header.Set("X-Amz-Content-Sha256", f.payload)
	r.ContentLength, r.GetBody = object, nil
	if f.chunk == 0 {
		r.Body = io.NopCloser(io.LimitReader(zero{}, object))
		return
	}
	head := strconv.FormatInt(int64(f.chunk), 16)
	tail := "0"
	if f.signature > 0 {
		s := ";chunk-signature=" + strings.Repeat("0", f.signature)
		head, tail = head+s, tail+s
	}
	head, tail = head+"\r\n", tail+"\r\n"+f.trailer+"\r\n"
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(object))
	if f.trailer != "" {
		name, _, _ := strings.Cut(f.trailer, ":")
		r.Header.Set("X-Amz-Trailer", name)
	}
	r.ContentLength = int64(object/f.chunk*(len(head)+f.chunk+2) + len(tail))
	r.Body = io.NopCloser(&chunks{frame: []byte(head + strings.Repeat("\x00", f.chunk) + "\r\n"), left: object / f.chunk, tail: []byte(tail)})
}

// chunks repeats a frame, then says the tail.
type chunks struct {
	frame, tail []byte
	left, at    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 {
		n := copy(p, c.tail)
		if c.tail = c.tail[n:]; len(c.tail) == 0 {
			return n, io.EOF
		}
		return n, nil
	}
	n := copy(p, c.frame[c.at:])
	if c.at += n; c.at == len(c.frame) {
		c.at, c.left = 0, c.left-1
	}
	return n, nil
}
