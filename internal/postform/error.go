package postform

import "github.com/sallyport/sallyport/internal/bodyfault"

// Error says in which way a body is not a form that is understood.
type Error struct{ bodyfault.Fault }

func bad(format string, args ...any) error { return &Error{bodyfault.New(format, args...)} }
