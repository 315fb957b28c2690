package archive

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/recorder"
)

var ids = event.NewIDs(nil)

// gateway makes events with bodies, chained and signed.
type gateway struct {
	t      testing.TB
	key    ed25519.PrivateKey
	source string
	seq    uint64
	prev   string
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{t: t, key: key, source: event.SourceOf(public), prev: event.NoDigest}
}

func (g *gateway) record(session string, d event.Data) recorder.Record {
	g.t.Helper()
	e := event.Event{ID: ids.New(), Source: g.source, Time: time.Now(), Data: d}
	g.seq++
	event.Link(&e, g.seq, g.prev)
	line, err := event.Encode(e)
	if err != nil {
		g.t.Fatal(err)
	}
	g.prev = event.LineDigest(line)
	m, err := event.EncodeMessage(e, event.DefaultLimit)
	if err != nil {
		g.t.Fatal(err)
	}
	return recorder.Record{Session: session, Subject: "sallyport.events." + session, MsgID: e.ID, Header: m.Header, Payload: m.Payload}
}

// day is n bodies of a session, each with so many bytes of a request, and a checkpoint.
func (g *gateway) day(session string, n, bytes int) (out []recorder.Record) {
	for i := range n {
		c := event.Common{RequestID: ids.New(), SessionID: session, EventTime: time.Now()}
		op := event.Operation{Service: "s3", EventName: "GetObject", Target: "dev"}
		if bytes > 0 {
			out = append(out, g.record(session, &event.Request{Common: c, Operation: op, RequestParameters: map[string]any{"a": strings.Repeat(ids.New(), bytes/26)}}))
		}
		out = append(out, g.record(session, event.NewBody(c, event.PartResponse, i, 0, []byte("the answer "+ids.New()))))
	}
	d := &event.Checkpoint{Common: event.Common{RequestID: ids.New(), EventTime: time.Now()}, UpTo: g.seq, Digest: g.prev, PublicKey: g.key.Public().(ed25519.PublicKey)}
	d.Signature = ed25519.Sign(g.key, d.Signed(g.source))
	return append(out, g.record(event.NoSession, d))
}

// grow adds a day to a store whose log is complete before, so that the segment that the
// day closes is covered.
func grow(t testing.TB, o recorder.StoreOptions, day []recorder.Record) *recorder.Store {
	t.Helper()
	s, err := recorder.OpenStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Append(day); err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *recorder.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// filled is a store of some closed segments, the second of them compressed.
func filled(t testing.TB) (recorder.StoreOptions, *gateway, *recorder.Store) {
	t.Helper()
	g := newGateway(t)
	o := recorder.StoreOptions{Dir: t.TempDir(), KeyFile: filepath.Join(t.TempDir(), "recorder.key"), SegmentSize: 1 << 10, PackSize: 16 << 10}
	closeStore(t, grow(t, o, g.day(ids.New(), 300, 0)))
	closeStore(t, grow(t, o, g.day(ids.New(), 300, 5000)))
	s := grow(t, o, g.day(ids.New(), 3, 0))
	settle(t, s, 301+601+4)
	return o, g, s
}

// settle waits until the log covers so many lines, and closed segments are compressed.
func settle(t testing.TB, s *recorder.Store, lines uint64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := s.Closed()
		now, failed := s.Checkpoint()
		if err = errors.Join(err, failed); err != nil || time.Now().After(end) {
			t.Fatalf("%d lines, %d segments to compress: %v", now.Size, c.Compressing, err)
		}
		if c.Compressing == 0 && now.Size >= lines {
			return
		}
	}
}

// bucket is where tests archive to.
type bucket struct {
	t    testing.TB
	o    Options
	sent func() []awstest.Received // nil where the store is not ours
}

func simulated(t testing.TB) *bucket {
	t.Helper()
	srv, err := awstest.Start(awstest.Config{BodyCap: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	if err := srv.AddKey(awstest.Key{ID: "AKIDARCHIVE", Secret: "archive/secret", Account: awstest.Account}); err != nil {
		t.Fatal(err)
	}
	transport := srv.Transport()
	return &bucket{t: t, sent: srv.Requests, o: Options{Bucket: "acme-dev-reports", Prefix: "one/", Region: awstest.Region,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDARCHIVE", "archive/secret", ""), HTTPClient: &http.Client{Transport: transport}}}
}

// minio is an S3 that is not ours.
func minio(t testing.TB) *bucket {
	t.Helper()
	binary := os.Getenv("SALLYPORT_MINIO")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("minio"); err != nil {
			t.Skip("no MinIO to ask: go install github.com/minio/minio@latest (about 5 minutes), then put it into PATH or SALLYPORT_MINIO")
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "HOME="+dir, "MINIO_ROOT_USER=root-user", "MINIO_ROOT_PASSWORD=root-password", "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	b := &bucket{t: t, o: Options{Bucket: "record", Prefix: "one/", Endpoint: "http://" + address, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("root-user", "root-password", "")}}
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &b.o.Endpoint, UsePathStyle: true, Credentials: b.o.Credentials})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // another process's state has no clock of ours
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b.o.Bucket})
		if err == nil {
			return b
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// archive is a new one, as after a restart.
func (b *bucket) archive(s *recorder.Store) *Archive {
	b.t.Helper()
	o := b.o
	o.Store = s
	a, err := New(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// download is `aws s3 sync`.
func (b *bucket) download(a *Archive) string {
	b.t.Helper()
	dir := b.t.TempDir()
	for name, body := range b.objects(a) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, body, 0o600)); err != nil {
			b.t.Fatal(err)
		}
	}
	return dir
}

func (b *bucket) objects(a *Archive) map[string][]byte {
	b.t.Helper()
	out := map[string][]byte{}
	pages := s3.NewListObjectsV2Paginator(a.client, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: &a.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, o := range page.Contents {
			got, err := a.client.GetObject(b.t.Context(), &s3.GetObjectInput{Bucket: &a.bucket, Key: o.Key})
			if err != nil {
				b.t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if err = errors.Join(err, got.Body.Close()); err != nil {
				b.t.Fatal(err)
			}
			out[strings.TrimPrefix(aws.ToString(o.Key), a.prefix)] = body
		}
	}
	return out
}

// overwrite is what somebody else does to the bucket.
func (b *bucket) overwrite(a *Archive, name string, body []byte) {
	b.t.Helper()
	_, err := a.client.PutObject(b.t.Context(), &s3.PutObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + name), Body: bytes.NewReader(body)})
	if err != nil {
		b.t.Fatal(err)
	}
}

func pass(t testing.TB, a *Archive, conflicts int) {
	t.Helper()
	if err := a.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(a.m.conflicts); int(n) != conflicts {
		t.Fatalf("%v conflicts, want %d: %v", n, conflicts, a.conflicts)
	}
	if n := testutil.ToFloat64(a.m.lag); n != 0 {
		t.Fatalf("%v files wait", n)
	}
}

func verify(t testing.TB, dir string) *recorder.Report {
	t.Helper()
	r, err := recorder.Records{Dir: dir}.Verify(t.Context(), recorder.VerifyOptions{Now: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
