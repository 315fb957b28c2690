// Package export writes the record in the words of other tools: JSON lines as they
// are, OCSF for a SIEM, Parquet for a data lake, HAR for whoever debugs one session.
// What is written is what is on record, so masked as that is.
package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/recorder"
)

// Format is how calls are written.
type Format string

// The formats. JSON lines of events are no format here: they are the log's own lines.
const (
	OCSF    Format = "ocsf"    // JSON lines, OCSF API Activity (class 6003)
	Parquet Format = "parquet" // a row a call, Row
	HAR     Format = "har"     // HTTP Archive 1.2
)

// Formats is every format.
var Formats = []Format{OCSF, Parquet, HAR}

// ParseFormat refuses what is none.
func ParseFormat(s string) (Format, error) {
	if f := Format(s); slices.Contains(Formats, f) {
		return f, nil
	}
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = string(f)
	}
	return "", fmt.Errorf("format %.20q: use jsonl, %s", s, strings.Join(names, " or "))
}

// Bodies gives the payload of a body's piece by its SHA-256; nil where it is not on
// record any more.
type Bodies func(sha256 string) ([]byte, error)

// Writer writes calls, one at a time.
type Writer interface {
	Write(c *recorder.Call) error
	Close() error // writes what is left; the io.Writer stays open
}

// New makes a Writer. version is Sallyport's own; bodies is for HAR alone.
func New(f Format, w io.Writer, version string, bodies Bodies) (Writer, error) {
	switch f {
	case OCSF:
		buf := bufio.NewWriter(w)
		enc := json.NewEncoder(buf)
		enc.SetEscapeHTML(false)
		return &ocsfWriter{buf, enc, version}, nil
	case Parquet:
		return newParquet(w), nil
	case HAR:
		return newHAR(w, version, bodies)
	}
	return nil, fmt.Errorf("format %.20q is none of export's", string(f))
}

type ocsfWriter struct {
	buf     *bufio.Writer
	enc     *json.Encoder
	version string
}

func (w *ocsfWriter) Write(c *recorder.Call) error { return w.enc.Encode(ocsf(c, w.version)) }
func (w *ocsfWriter) Close() error                 { return w.buf.Flush() }
