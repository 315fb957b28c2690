package recorder_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// Bodies are shown so far, escaped, and named where they are gone.
func TestStoryBodies(t *testing.T) {
	dir, session := t.TempDir(), ids.New()
	x := exchange(session)
	long := body(session, x[0].Exchange(), 0, bytes.Repeat([]byte("0123456789abcde\n"), 300))
	rest := body(session, x[0].Exchange(), 1, []byte("the rest"))
	y := exchange(session)
	bad := body(session, y[0].Exchange(), 0, []byte("\x1b[2J\u202eevil\r\n{\"a\": 1}"))
	z := exchange(session)
	binary := body(session, z[0].Exchange(), 0, bytes.Repeat([]byte{0xff, 0}, 100))
	all := append(append(append(x, long, rest), append(y, bad)...), append(z, binary)...)
	write(t, recorder.StoreOptions{Dir: dir}, messages(t, all...))
	records := recorder.Records{Dir: dir}
	tell := func() string {
		s, err := records.Read(session)
		if err != nil {
			t.Fatal(err)
		}
		var sums []string
		for _, e := range s.Events {
			if d, ok := e.Data.(*event.Body); ok {
				sums = append(sums, d.SHA256)
			}
		}
		get, err := records.Bodies(t.Context(), sums...)
		if err != nil {
			t.Fatal(err)
		}
		var out, brief bytes.Buffer
		if err := recorder.WriteStoryBodies(&out, s, get); err != nil {
			t.Fatal(err)
		}
		if err := recorder.WriteStory(&brief, s); err != nil || strings.Contains(brief.String(), "0123456789") || !strings.Contains(brief.String(), "bytes 0 to 4799") {
			t.Errorf("%v\n%s", err, brief.String())
		}
		return out.String()
	}
	text := tell()
	if strings.ContainsAny(text, "\x1b\u202e\x00") {
		t.Error("a terminal would obey")
	}
	if n := strings.Count(text, "0123456789abcde"); n != 256 {
		t.Errorf("%d lines of the long body, want 256", n)
	}
	for _, want := range []string{"... and 704 bytes more", `\x1b[2J\u202eevil`, `{"a": 1}`, "(no text) ff00"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "the rest") {
		t.Error("shown beyond the limit")
	}
	if err := os.WriteFile(filepath.Join(dir, "bodies", "00000001.pack"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if text := tell(); strings.Count(text, "are gone") != 4 {
		t.Errorf("%s", text)
	}
}
