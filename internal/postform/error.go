package postform

import "fmt"

// Error says in which way a body is not a form that is understood. One that ends too
// early wraps io.ErrUnexpectedEOF, one that could not be read the reader's own error.
// Its text repeats nothing of the body.
type Error struct {
	text string
	err  error
}

func (e *Error) Error() string {
	if e.err != nil {
		return e.text + ": " + e.err.Error()
	}
	return e.text
}

// Text is the error without its cause.
func (e *Error) Text() string { return e.text }

func (e *Error) Unwrap() error { return e.err }

func bad(format string, args ...any) error { return &Error{text: fmt.Sprintf(format, args...)} }
