package gateway

import (
	"testing"

	"github.com/sallyport/sallyport/identity"
)

// What is not needed after all is free at once, the rest at the request's end, and
// nothing twice.
func TestLease(t *testing.T) {
	p := newPool(10, 10)
	x := &exchange{session: &identity.Session{}}
	l, err := p.take(t.Context(), x, 10)
	if err != nil {
		t.Fatal(err)
	}
	l.shrink(4)
	l.shrink(7) // it does not grow
	if p.all.TryAcquire(7) {
		t.Error("what is held was given twice")
	}
	if !p.all.TryAcquire(6) {
		t.Error("what was given back is not free")
	}
	p.all.Release(6)
	for _, f := range x.release {
		f()
		f()
	}
	if l, err = p.take(t.Context(), x, 10); err != nil || l.n != 10 {
		t.Errorf("after the request's end: %+v, %v", l, err)
	}
}
