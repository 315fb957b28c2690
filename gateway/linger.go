package gateway

import (
	"net/http"
	"time"
)

// How much of an upload is read and thrown away behind its answer, and how long the
// client may pause meanwhile.
const (
	lingerBytes = 64 << 20
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
	control := http.NewResponseController(x.w)
	if control.Flush() != nil {
		return
	}
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for left := lingerBytes; left > 0; {
		if control.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			return
		}
		n, err := x.r.Body.Read(*buf)
		if left -= n; err != nil {
			break
		}
	}
}
