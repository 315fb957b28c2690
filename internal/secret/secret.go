// Package secret holds values that must never be printed: tokens, secret
// access keys, session tokens. A String prints, logs and marshals as
// "[redacted]" whatever verb, handler or encoder is used; Reveal is the one way
// to its text, so that a search for Reveal lists every place that uses one.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a secret text. The zero value is empty. Copies share their bytes,
// so that Wipe on one clears them all.
type String struct{ b []byte }

// New copies s into a String.
func New(s string) String { return String{b: []byte(s)} }

// Reveal returns the text. The caller must not log, print or store it.
func (s String) Reveal() string { return string(s.b) }

// IsZero reports whether there is no text.
func (s String) IsZero() bool { return len(s.b) == 0 }

// Len is the length in bytes.
func (s String) Len() int { return len(s.b) }

// Wipe overwrites the text with zeros. Go strings that Reveal gave out are
// copies and stay until they are collected.
func (s String) Wipe() { clear(s.b) }

// Format implements fmt.Formatter for every verb, %#v included.
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (String) String() string { return redacted }

// LogValue implements slog.LogValuer.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (String) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler (YAML, XML, map keys).
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
