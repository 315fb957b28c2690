package index

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/recorder"
)

// million is a record of a million events, about 250,000 calls in 2,500 sessions.
func million(b *testing.B) (*world, recorder.Records) {
	b.Helper()
	w := newWorld(1)
	dir := filepath.Join(b.TempDir(), "records")
	total := 0
	for total < 1_000_000 {
		for len(w.events) < 50_000 {
			w.session(100)
		}
		total += len(w.events)
		record(b, dir, w.events)
		w.events = w.events[:0]
	}
	return w, recorder.Records{Dir: dir}
}

func BenchmarkMillion(b *testing.B) {
	w, r := million(b)
	began := time.Now()
	x := openIndex(b, r)
	took := time.Since(began)
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(1_000_000/took.Seconds(), "events/s")
	})
	b.Run("open", func(b *testing.B) { // up to date already
		for b.Loop() {
			y, err := Open(b.Context(), r)
			if err != nil {
				b.Fatal(err)
			}
			if err := y.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	end := w.now
	for _, q := range []struct {
		name string
		Query
	}{
		{"all", Query{}}, {"last-hour", Query{Since: end.Add(-time.Hour)}}, {"denied", Query{Results: []recorder.Result{recorder.ResultDenied}}},
		{"subject", Query{Subject: "alice"}}, {"subject-glob", Query{Subject: "al*"}}, {"action", Query{Action: "ec2:Terminate*"}}, {"resource", Query{Resource: "arn:aws:s3:::thing/1*"}},
		{"everything", Query{Since: at, Subject: "ci-*", Action: "s3:*", Resource: "*thing/7", Target: "dev", Results: []recorder.Result{recorder.ResultOK}}},
		{"none", Query{Subject: "nobody*"}},
	} {
		q.Limit = 100
		b.Run("sessions/"+q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := x.Sessions(b.Context(), q.Query); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("calls/"+q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := x.Calls(b.Context(), q.Query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
