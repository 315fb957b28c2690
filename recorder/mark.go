package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/privatefile"
)

// mark is how far the stream has the file's events on its own disk: what is before it
// is not published again after a restart. It lies beside the file, and is only a
// saving: without it, or with one that says too little, events come again, and
// recorders leave out what they have.
type mark struct {
	Position uint64 `json:"position"` // in the file
	Sequence uint64 `json:"sequence"` // in the stream
}

func markFile(dir string) string { return filepath.Join(dir, "published") }

func readMark(dir string) (mark, error) {
	b, err := privatefile.Read(markFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("how far events were published: %w", err)
	}
	var m mark
	if json.Unmarshal(b, &m) != nil {
		return mark{}, nil //nolint:nilerr // as if there were none: events come again
	}
	return m, nil
}

func (m mark) write(dir string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return privatefile.Replace(markFile(dir), b, 0o600)
}
