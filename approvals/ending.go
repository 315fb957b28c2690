package approvals

import "sync"

// ending is told to those who wait. Its zero value is not of use; see newEnding.
type ending struct {
	once   sync.Once
	closed chan struct{}
}

func newEnding() *ending { return &ending{closed: make(chan struct{})} }

// Release ends every wait with ErrClosed: what is held is refused, and its state stays
// for whoever comes next.
func (e *ending) Release() { e.once.Do(func() { close(e.closed) }) }
