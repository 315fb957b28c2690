package awschunked

import "github.com/sallyport/sallyport/internal/bodyfault"

// Error says in which way a body, or what the headers say of it, is not aws-chunked.
type Error struct{ bodyfault.Fault }

func bad(format string, args ...any) error { return &Error{bodyfault.New(format, args...)} }
