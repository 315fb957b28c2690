package gateway

import (
	"errors"
	"net/http"
	"time"
)

// How much of an upload is read and thrown away behind its answer, for how long, and
// how long the client may pause meanwhile. A pause alone would let a client that drips
// byte after byte hold its request, and what is reserved for it, for ever.
const (
	lingerBytes = 64 << 20
	lingerTotal = 10 * time.Second
	lingerPause = time.Second
)

// linger reads what a client still sends behind an answer that ends its upload. A
// connection that is closed with bytes unread is reset, and the reset overtakes the
// answer: clients that write all of a body before they read (Python's, curl's) would
// report a broken pipe in place of why (RFC 9112, section 9.6). The answer must have
// been written; net/http says Connection: close with it, since the body was not read.
func (h *handler) linger(x *exchange) {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return
	}
	body, ok := x.r.Body.(interface{ Discard(most int) })
	// Before it writes an answer, net/http reads up to 256 KiB of what is unread.
	if !ok || bound(x, time.Now().Add(lingerTotal), lingerPause) != nil || http.NewResponseController(x.w).Flush() != nil {
		return
	}
	body.Discard(lingerBytes)
}

// bound holds what is still read of the client's body to an end and each read to a
// pause, those that wait included. Sockets know no other clock than the system's.
func bound(x *exchange, end time.Time, pause time.Duration) error {
	body, ok := x.r.Body.(interface {
		Bound(end time.Time, pause time.Duration) error
	})
	if !ok {
		return errors.New("gateway: a body that cannot be bounded")
	}
	return body.Bound(end, pause)
}
