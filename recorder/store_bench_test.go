package recorder_test

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// two KB of a request event, chained.
func twoKB(b *testing.B, g *gateway) recorder.Record {
	e := exchange(ids.New())[0]
	raw := make([]byte, 700)
	_, _ = rand.Read(raw)
	e.Data.(*event.Request).RequestParameters = map[string]any{"Item": hex.EncodeToString(raw)}
	return message(b, g.link(e)[0])
}

// BenchmarkStoreAppend is a recorder's work without NATS: batches of 256 events of 2 KB,
// each synced, with chains followed and the log behind. Events/s are wall-clock.
func BenchmarkStoreAppend(b *testing.B) {
	dir := b.TempDir()
	s := open(b, recorder.StoreOptions{Dir: dir})
	g := newGateway(b)
	const size = 256
	batches := make([][]recorder.Record, 0, b.N/size+1)
	for n := 0; n < b.N; n += size {
		var batch []recorder.Record
		for range min(size, b.N-n) {
			batch = append(batch, twoKB(b, g))
		}
		batches = append(batches, batch)
	}
	cpu := func() float64 { // microseconds, of all threads: the log's too
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
	}
	b.ResetTimer()
	used := cpu()
	for _, batch := range batches {
		if err := s.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	b.ReportMetric((cpu()-used)/float64(b.N), "CPU-us/event")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVerify reads and verifies a store of 20,000 events of 2 KB.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	g := newGateway(b)
	var batches [][]recorder.Record
	for range 80 {
		var batch []recorder.Record
		for range 250 {
			batch = append(batch, twoKB(b, g))
		}
		batches = append(batches, batch)
	}
	write(b, recorder.StoreOptions{Dir: dir}, batches...)
	b.ResetTimer()
	for range b.N {
		if r, err := (recorder.Records{Dir: dir}).Verify(b.Context(), recorder.VerifyOptions{}); err != nil || !r.OK {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkSizeOnDisk is what 1,000 calls take: request, decision, credential, response,
// a request body of 200 bytes and an answer of 4 KB of JSON.
func BenchmarkSizeOnDisk(b *testing.B) {
	for range b.N {
		dir := b.TempDir()
		g := newGateway(b)
		session := ids.New()
		s := open(b, recorder.StoreOptions{Dir: dir, SegmentSize: 3 << 20})
		for range 22 { // the last segment stays plain
			var batch []recorder.Record
			for range 50 {
				x := exchange(session)
				policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::acme-dev/` + ids.New() + `"]}]}`
				x = append(x, event.Event{ID: ids.New(), Source: g.source, Time: x[0].Time, Data: &event.Credential{Common: *x[0].Data.Head(), RoleARN: "arn:aws:iam::111122223333:role/agent-dev", SessionPolicy: policy, AccessKeyID: "ASIAXXXXXXXXXXXXXXXX"}})
				answer := strings.Repeat(`{"Key":"2026/`+ids.New()+`.csv","Size":123456,"StorageClass":"STANDARD"},`, 55)
				x = append(x, body(session, x[0].Exchange(), 0, []byte(`{"Bucket":"acme-dev","Prefix":"`+ids.New()+`"}`)), body(session, x[0].Exchange(), 0, []byte(answer)))
				batch = append(batch, messages(b, g.link(x...)...)...)
			}
			batch = append(batch, message(b, g.checkpoint()))
			if err := s.Append(batch); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		for _, part := range []string{"segments", "bodies", "log"} {
			total := int64(0)
			err := filepath.WalkDir(filepath.Join(dir, part), func(_ string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					info, err := d.Info()
					if err != nil {
						return err
					}
					total += info.Size()
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(total)/1000, "B/call-"+part)
		}
	}
}
