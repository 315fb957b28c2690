package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/refusal"
)

// slow is a recorder that keeps the events themselves, as a queue does.
type slow struct {
	mu     sync.Mutex
	events []event.Event // guarded by mu
	gate   chan struct{} // each Queue takes one; nil: none waits
	left   int           // that succeed; negative: all
}

func (s *slow) Begin(context.Context, ...event.Event) (*recorder.Receipt, error) {
	return nil, errors.New("not here")
}
func (s *slow) Append(ctx context.Context, e ...event.Event) error { return s.Queue(ctx, e...) }
func (s *slow) Queue(ctx context.Context, e ...event.Event) error {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return errors.New("the disk is full")
	}
	s.left--
	s.events = append(s.events, e...)
	return nil
}

func (s *slow) bytes(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []byte
	for i, e := range s.events {
		d, ok := e.Data.(*event.Body)
		if !ok || d.Index != i || d.Offset != int64(len(out)) || len(d.Payload()) > event.MaxChunk {
			t.Fatalf("event %d is %+v", i, e.Data)
		}
		out = append(out, d.Payload()...)
		if _, err := event.EncodeMessage(e, event.DefaultLimit); err != nil { // the digest still fits: nothing was written over
			t.Fatal(err)
		}
	}
	return string(out)
}

func newTestTape(t *testing.T, rec Recorder, limit int64) *tape {
	t.Helper()
	scanner, err := detect.New(detect.Config{Sets: detect.DefaultSets()})
	if err != nil {
		t.Fatal(err)
	}
	ids := event.NewIDs(nil)
	h := &handler{Gateway: &Gateway{Config: Config{Recorder: rec, IDs: ids, Source: "sallyport/test", Now: time.Now, Metrics: NewMetrics(nil), Masker: mask.New(mask.Options{Scanner: scanner})}}}
	return h.newTape(context.Background(), &exchange{id: ids.New(), session: &identity.Session{ID: ids.New()}}, event.PartRequest, "text/plain", limit)
}

// However a body is cut into writes, its pieces together are the body up to the limit,
// and what is told of them is true.
func TestTape(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		body := make([]byte, r.IntN(3*pieceSize))
		for i := range body {
			body[i] = byte('a' + r.IntN(26))
		}
		limit := int64(0)
		if r.IntN(2) == 0 {
			limit = 1 + r.Int64N(3*pieceSize)
		}
		rec := &slow{left: -1}
		tp := newTestTape(t, rec, limit)
		var last []event.Event
		var told *event.Recorded
		var failed *refusal.Error
		if r.IntN(3) == 0 {
			told, last, failed = tp.whole(body)
		} else {
			buf := make([]byte, 1<<r.IntN(18))
			for at := 0; at < len(body); {
				n := copy(buf, body[at:min(len(body), at+1+r.IntN(len(buf)))])
				if k, err := tp.Write(buf[:n]); k != n || err != nil {
					t.Fatal(k, err)
				}
				at += n
			}
			clear(buf) // it is the writer's again
			told, last, failed = tp.end("")
		}
		if failed != nil {
			t.Fatal(failed)
		}
		_ = rec.Queue(t.Context(), last...)
		want, omitted := string(body), ""
		if limit > 0 && int64(len(body)) > limit {
			want, omitted = string(body[:limit]), event.OmittedLimit
		}
		if got := rec.bytes(t); got != want || told.Size != int64(len(want)) || told.Pieces != len(rec.events) || told.Omitted != omitted {
			t.Fatalf("%d bytes, limit %d: %d bytes in %d pieces, told %+v", len(body), limit, len(got), len(rec.events), told)
		}
	}
}

// The upload waits for its record, and keeps no more than a few pieces meanwhile.
func TestSlowRecordSlowsTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &slow{left: -1, gate: make(chan struct{})}
		tp := newTestTape(t, rec, 0)
		c := tp.maskedBy(func(r io.Reader) (io.Reader, error) { return tp.h.Masker.Object(http.Header{}, r) }, edges{})
		written := make(chan int, 1000)
		go func() {
			defer close(written)
			for range 40 {
				if _, err := c.Write(bytes.Repeat([]byte("word "), 20_000)); err != nil { // 100 KB
					t.Error(err)
				}
				written <- 100_000
			}
			_ = c.Close()
		}()
		synctest.Wait()
		if n := len(written) * 100_000; n > pieceSize+4*mask.Window+200_000 {
			t.Errorf("%d bytes were taken of which none is on record", n)
		}
		go func() {
			for range 4_000_000 / pieceSize {
				rec.gate <- struct{}{}
			}
		}()
		for range written { // until it ends
		}
		told, last, failed := c.end()
		if failed != nil || told.Omitted != "" || told.Size != 4_000_000 || len(last) != 1 {
			t.Errorf("%+v %v", told, failed)
		}
		close(rec.gate)
		_ = rec.Queue(t.Context(), last...)
		if got := rec.bytes(t); got != strings.Repeat("word ", 800_000) {
			t.Errorf("%d bytes on record", len(got))
		}
	})
}

// A record that fails ends the body, at once or where it fails, and says what is there.
func TestFailedRecordEndsTheBody(t *testing.T) {
	for _, masked := range []bool{false, true} {
		for _, good := range []int{0, 2} {
			rec := &slow{left: good}
			tp := newTestTape(t, rec, 0)
			c := tp.record()
			if masked {
				c = tp.maskedBy(func(r io.Reader) (io.Reader, error) { return tp.h.Masker.Object(http.Header{}, r) }, edges{})
			}
			src := &copied{r: io.LimitReader(words{}, 10<<20), to: c, left: 10 << 20}
			n, err := io.Copy(io.Discard, src)
			var unrecorded *refusal.Error
			if !errors.As(err, &unrecorded) || unrecorded.Reason != refusal.Unavailable || n > int64(good+2)*pieceSize {
				t.Errorf("masked %v: %d bytes went on, %v", masked, n, err)
			}
			told, last, failed := c.end()
			if failed == nil || len(last) > 0 || told.Omitted != event.OmittedBroken || told.Pieces != good || told.Size != int64(len(rec.bytes(t))) {
				t.Errorf("masked %v: told %+v of %d bytes, %v", masked, told, len(rec.bytes(t)), failed)
			}
		}
	}
}

type words struct{}

func (words) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "word "[i%5]
	}
	return len(p), nil
}

// Asked twice, because the last piece could not be recorded with the answer, what is told
// leaves that piece out.
func TestEndTwice(t *testing.T) {
	tp := newTestTape(t, &slow{left: -1}, 0)
	_, _ = tp.Write(make([]byte, pieceSize+10))
	told, last, _ := tp.end("")
	if told.Pieces != 2 || told.Size != pieceSize+10 || len(last) != 1 {
		t.Errorf("%+v", told)
	}
	if again, last, _ := tp.end(""); again.Pieces != 1 || again.Size != pieceSize || again.Omitted != event.OmittedBroken || len(last) != 0 || again.SHA256 == told.SHA256 {
		t.Errorf("%+v", again)
	}
}

// A body is on record up to its limit, wherever pieces and writes end.
func TestTapeReachesItsLimit(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3*pieceSize/16)
	for _, limit := range []int64{1, 1000, pieceSize - 1, pieceSize, pieceSize + 24<<10, 2*pieceSize + 1, 3*pieceSize - 1} {
		for _, size := range []int{100_000, 32 << 10, pieceSize, len(text)} {
			rec := &slow{left: -1}
			tp := newTestTape(t, rec, limit)
			for p := []byte(text); len(p) > 0; p = p[min(size, len(p)):] {
				if _, err := tp.Write(p[:min(size, len(p))]); err != nil {
					t.Fatal(err)
				}
			}
			told, last, bad := tp.end("")
			if bad != nil {
				t.Fatal(bad)
			}
			rec.events = append(rec.events, last...)
			if got := rec.bytes(t); got != text[:limit] || told.Size != limit || told.Omitted != event.OmittedLimit {
				t.Errorf("limit %d, writes of %d: %d bytes are there, told %+v", limit, size, len(got), told)
			}
		}
	}
}
