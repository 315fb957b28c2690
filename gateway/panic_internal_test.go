package gateway

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// explosive is a decoder with a mistake in it.
type explosive struct{ io.Reader }

func (e explosive) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err == nil {
		panic("AKIAIOSFODNN7EXAMPLQ")
	}
	return n, err
}

// What a client sends is decoded in goroutines beside the one that net/http recovers: a
// panic there costs the record of one body, or one request, and is logged without what it
// says.
func TestPanicBesideTheWalk(t *testing.T) {
	var log strings.Builder
	tape := newTestTape(t, &slow{left: -1}, 0)
	tape.h.Log = slog.New(slog.NewTextHandler(&log, nil))
	c := tape.maskedBy(func(r io.Reader) (io.Reader, error) { return explosive{r}, nil }, edges{})
	for range 3 { // the body itself goes on
		if n, err := c.Write([]byte("bytes")); n != 5 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	_ = c.Close()
	rec, events, failed := c.end()
	if failed != nil || len(events) > 0 || rec.Omitted != event.OmittedMasking || rec.Pieces != 0 {
		t.Errorf("%+v %v %v", rec, events, failed)
	}
	body := &guarded{io.NopCloser(explosive{strings.NewReader("bytes")}), &exchange{id: "01J"}, tape.h}
	if n, err := io.Copy(io.Discard, body); n != 0 || !errors.Is(err, errPanic) {
		t.Errorf("%d %v", n, err)
	}
	if text := log.String(); strings.Count(text, "panic while") != 2 || strings.Contains(text, "AKIA") {
		t.Error(text)
	}
}
