package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/recorder"
)

// begin finds out whose archive the bucket has, and how far it is.
func (a *Archive) begin(ctx context.Context) error {
	if a.begun {
		return nil
	}
	err := a.store.Identity(func(name string, b []byte) error {
		if err := a.once(ctx, name, b); err != nil {
			return err
		}
		if _, other := a.conflicts[name]; other {
			return fmt.Errorf("the bucket has the archive of another recorder: %s is not this recorder's; give record.archive.prefix another value", a.prefix+name)
		}
		return a.refusesToOverwrite(ctx, name, b)
	})
	if err != nil {
		return err
	}
	for _, dir := range []string{"segments/", "bodies/"} {
		pages := s3.NewListObjectsV2Paginator(a.client, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: aws.String(a.prefix + dir)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("list the bucket: %w", err)
			}
			for _, o := range page.Contents {
				a.there[strings.TrimPrefix(aws.ToString(o.Key), a.prefix)] = aws.ToInt64(o.Size)
			}
		}
	}
	text, err := a.get(ctx, recorder.CheckpointFile)
	if code(err) == "NoSuchKey" {
		a.begun = true
		return nil
	}
	if err != nil {
		return err
	}
	c, err := recorder.ParseLogCheckpoint(text)
	if err != nil {
		return fmt.Errorf("%s in the bucket is no checkpoint: %w", a.prefix+recorder.CheckpointFile, err)
	}
	if err := a.continues(ctx, c.Size); err != nil {
		return err
	}
	a.size, a.tiled, a.begun = c.Size, c.Size, true
	return nil
}

// continues holds the recorder's log against what is archived of it.
func (a *Archive) continues(ctx context.Context, size uint64) error {
	c, err := a.store.Checkpoint()
	if err != nil {
		return err
	}
	if c.Size < size {
		a.conflict(recorder.CheckpointFile, fmt.Sprintf("it covers %d lines and the recorder's log %d: the recorder's store was put back to an older state", size, c.Size))
		return nil
	}
	return a.store.LogEdge(size, func(name string, b []byte) error { return a.once(ctx, name, b) })
}

// refusesToOverwrite is an error where the store ignores If-None-Match: then whoever
// comes second would overwrite what is there.
func (a *Archive) refusesToOverwrite(ctx context.Context, name string, b []byte) error {
	err := a.put(ctx, name, bytes.NewReader(b), int64(len(b)), sha256.Sum256(b), true)
	if code(err) == "PreconditionFailed" {
		return nil
	}
	if err == nil {
		err = errors.New("the object store overwrites what is there although it is told not to (If-None-Match: *): it cannot hold an archive")
	}
	return err
}

// file archives a segment or a pack. One that retention has let go is left out.
func (a *Archive) file(ctx context.Context, f recorder.ClosedFile) error {
	in, err := f.Open()
	if errors.Is(err, os.ErrNotExist) && f.Pack {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	digest := sha256.New()
	size, err := io.Copy(digest, in)
	if err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := a.keep(ctx, f.Name, in, size, [sha256.Size]byte(digest.Sum(nil)), f.Pack); err != nil {
		return err
	}
	a.there[f.Name] = size
	return nil
}

// once archives an object of which all is in memory.
func (a *Archive) once(ctx context.Context, name string, b []byte) error {
	return a.keep(ctx, name, bytes.NewReader(b), int64(len(b)), sha256.Sum256(b), false)
}

// keep puts an object unless it is there, and then compares it.
func (a *Archive) keep(ctx context.Context, name string, body io.ReadSeeker, size int64, sum [sha256.Size]byte, pack bool) error {
	err := a.put(ctx, name, body, size, sum, true)
	if code(err) != "PreconditionFailed" {
		return err
	}
	is, n, err := a.digest(ctx, name)
	if err != nil {
		return err
	}
	if is != sum && (!pack || n <= size) {
		a.conflict(name, fmt.Sprintf("it has SHA-256 %x and %d bytes, and the recorder's %x and %d", is, n, sum, size))
	}
	return nil
}

// replace puts one of the objects that go forward.
func (a *Archive) replace(ctx context.Context, name string, b []byte) error {
	return a.put(ctx, name, bytes.NewReader(b), int64(len(b)), sha256.Sum256(b), false)
}

// put sends an object with its SHA-256, which the store checks. With fresh it must not
// be there: code(err) is PreconditionFailed where it is.
func (a *Archive) put(ctx context.Context, name string, body io.ReadSeeker, size int64, sum [sha256.Size]byte, fresh bool) error {
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	want := base64.StdEncoding.EncodeToString(sum[:])
	in := &s3.PutObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + name), Body: body, ContentLength: &size,
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: &want}
	if fresh {
		in.IfNoneMatch = aws.String("*")
	}
	out, err := a.client.PutObject(ctx, in)
	if err != nil {
		return fmt.Errorf("put %s: %w", a.prefix+name, err)
	}
	if got := aws.ToString(out.ChecksumSHA256); got != "" && got != want {
		return fmt.Errorf("put %s: the store has SHA-256 %.60q of it, want %s", a.prefix+name, got, want)
	}
	return nil
}

// get reads a small object.
func (a *Archive) get(ctx context.Context, name string) ([]byte, error) {
	out, err := a.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + name)})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", a.prefix+name, err)
	}
	defer out.Body.Close()
	return io.ReadAll(io.LimitReader(out.Body, 1<<20))
}

// digest reads an object whole: its bytes count, not what the store says of them.
func (a *Archive) digest(ctx context.Context, name string) (sum [sha256.Size]byte, size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	out, err := a.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + name)})
	if err != nil {
		return sum, 0, fmt.Errorf("get %s: %w", a.prefix+name, err)
	}
	defer out.Body.Close()
	digest := sha256.New()
	size, err = io.Copy(digest, out.Body)
	return [sha256.Size]byte(digest.Sum(nil)), size, err
}

// code is S3's name of an error, "" where it has none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

type metrics struct {
	lag       prometheus.Gauge
	errors    prometheus.Counter
	conflicts prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		lag: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sallyport_record_archive_lag_files",
			Help: "Closed segments and packs that are not in the archive yet."}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_record_archive_errors_total",
			Help: "Passes of the archive that failed and are tried again."}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_record_archive_conflicts_total",
			Help: "Objects of the archive that have other content than the recorder's files."}),
	}
	if r != nil {
		r.MustRegister(m.lag, m.errors, m.conflicts)
	}
	return m
}
