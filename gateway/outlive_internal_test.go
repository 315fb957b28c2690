package gateway

import (
	"context"
	"testing"
	"time"
)

// An approved call goes on when its client leaves, and not for ever.
func TestOutlive(t *testing.T) {
	type key struct{}
	client, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	left := make(chan struct{})
	ctx, cancel := outlive(client, time.Hour, func() { close(left) })
	leave()
	<-left
	if ctx.Err() != nil || ctx.Value(key{}) != "kept" {
		t.Errorf("%v %v", ctx.Err(), ctx.Value(key{}))
	}
	cancel()
	if ctx.Err() == nil {
		t.Error("it does not end when the walk does")
	}

	ctx, cancel = outlive(client, time.Millisecond, func() {})
	defer cancel()
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("it goes on for ever")
	}
}
