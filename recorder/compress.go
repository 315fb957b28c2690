package recorder

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// compressFrom is the least size of a closed segment that is compressed, in bytes.
const compressFrom = 1 << 20

// compressor compresses closed segments behind the writer. Use startCompressor.
type compressor struct {
	dir    string
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

func startCompressor(dir string, failed func(error)) *compressor {
	ctx, cancel := context.WithCancel(context.Background())
	c := &compressor{dir: dir, wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for {
			if err := compressClosed(ctx, dir); err != nil && ctx.Err() == nil {
				failed(err)
			}
			select {
			case <-ctx.Done():
				return
			case <-c.wake:
			}
		}
	}()
	c.notify()
	return c
}

// notify says that a segment was closed.
func (c *compressor) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *compressor) close() {
	c.cancel()
	<-c.done
}

// compressClosed compresses all plain segments but the last, which is written.
func compressClosed(ctx context.Context, dir string) error {
	list, _, err := listSegments(dir)
	if err != nil {
		return err
	}
	for i, s := range list {
		if s.zstd || i+1 == len(list) {
			continue
		}
		if info, err := os.Lstat(s.path); err != nil || info.Size() < compressFrom {
			continue
		}
		if err := s.compress(ctx); err != nil {
			return fmt.Errorf("compress %s: %w", s.path, err)
		}
	}
	return nil
}

// compress replaces a segment. The plain one goes only when the compressed one is on
// disk and was read back.
func (s segment) compress(ctx context.Context) error {
	in, err := openPlain(s.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer in.Close()
	name := s.path + zstdSuffix
	tmp := name + tmpSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	sum, err := compressTo(ctx, out, in)
	if err == nil {
		err = out.Sync()
	}
	if err == nil {
		err = holds256(out, sum)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	dir := filepath.Dir(s.path)
	if err := errors.Join(os.Rename(tmp, name), syncDir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Remove(s.path), syncDir(dir))
}

// compressTo returns the SHA-256 of what it read.
func compressTo(ctx context.Context, out io.Writer, in io.Reader) (sum [sha256.Size]byte, err error) {
	enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return sum, err
	}
	digest := sha256.New()
	_, err = io.Copy(io.MultiWriter(enc, digest), &until{ctx, in})
	if err = errors.Join(err, enc.Close()); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(digest.Sum(nil)), nil
}

// holds256 checks that a compressed file holds what has this digest.
func holds256(f *os.File, want [sha256.Size]byte) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer dec.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, dec); err != nil {
		return err
	}
	if [sha256.Size]byte(digest.Sum(nil)) != want {
		return errors.New("what was compressed reads back as something else")
	}
	return nil
}

// until ends a reader with its context.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u *until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}
