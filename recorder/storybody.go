package recorder

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

const (
	bodyShown = 4 << 10 // bytes of one body
	bodyLine  = 200     // runes of one of its lines
)

// storyBodies shows the beginning of each body of a session.
type storyBodies struct {
	get   func(sha256 string) ([]byte, error)
	shown map[string]int // bytes, by exchange and part
}

// tell names a piece of a body, and shows it as far as there is room for that body.
func (s *storyBodies) tell(w io.Writer, d *event.Body) {
	name := "request"
	if d.Part == event.PartResponse {
		name = "response"
	}
	if s.get == nil {
		line(w, name, "bytes %d to %d, sha256 %s", d.Offset, d.Offset+int64(d.Size)-1, safe(d.SHA256))
		return
	}
	key := d.RequestID + d.Part
	room := bodyShown - s.shown[key]
	if room <= 0 {
		if room == 0 {
			line(w, "", "... and more from byte %d on: `sallyport sessions export --format har` has more", d.Offset)
			s.shown[key]++
		}
		return
	}
	b, err := s.get(d.SHA256)
	switch {
	case errors.Is(err, ErrGone):
		line(w, name, "bytes %d to %d are gone (sha256 %s)", d.Offset, d.Offset+int64(d.Size)-1, safe(d.SHA256))
		return
	case err != nil:
		line(w, name, "%s", safe(err.Error()))
		return
	}
	part := b[:min(len(b), room)]
	s.shown[key] += len(part)
	line(w, name, "%d bytes from byte %d on:", len(b), d.Offset)
	if !utf8.Valid(b) {
		line(w, "", "(no text) %x%s", part[:min(len(part), 64)], dots(len(b) > 64))
		s.shown[key] = bodyShown
		return
	}
	for text := range strings.SplitSeq(strings.TrimSuffix(string(part), "\n"), "\n") {
		fmt.Fprintf(w, "    %s\n", terminal.Escape(strings.TrimSuffix(text, "\r"), bodyLine))
	}
	if len(part) < len(b) {
		line(w, "", "... and %d bytes more: `sallyport sessions export --format har` has more", len(b)-len(part))
		s.shown[key]++
	}
}

func dots(more bool) string {
	if more {
		return "..."
	}
	return ""
}
