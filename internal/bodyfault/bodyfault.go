// Package bodyfault is what the readers of streamed request bodies (aws-chunked, form
// uploads) say of one that is not what it claims to be.
package bodyfault

import "fmt"

// Fault says what is wrong with a body. A body that ends too early has
// io.ErrUnexpectedEOF as its cause, one that could not be read the reader's own error.
// Its text repeats nothing of the body.
type Fault struct {
	text  string
	cause error
}

// New is a fault without a cause.
func New(format string, args ...any) Fault { return Fault{text: fmt.Sprintf(format, args...)} }

// Wrap is a fault with its cause.
func Wrap(text string, cause error) Fault { return Fault{text, cause} }

func (f *Fault) Error() string {
	if f.cause != nil {
		return f.text + ": " + f.cause.Error()
	}
	return f.text
}

// Text is the fault without its cause.
func (f *Fault) Text() string { return f.text }

func (f *Fault) Unwrap() error { return f.cause }
