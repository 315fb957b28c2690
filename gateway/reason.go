package gateway

import (
	"fmt"
	"net/url"
	"strings"
)

// StatedReasonHeader is where an agent may say what its calls are for: on the CONNECT for
// all of a tunnel, or on a request. Its value may be percent-encoded UTF-8. It never goes
// on to AWS, and is no part of what is judged or approved.
const StatedReasonHeader = "X-Sallyport-Stated-Reason"

const (
	maxReason    = 256     // characters that approvers see
	maxReasonRaw = 4 << 10 // bytes as it comes: it is kept as long as a tunnel is open
)

// rawReason is the header's value, bounded. Of two values none counts.
func rawReason(values []string) string {
	switch {
	case len(values) != 1:
		return ""
	case len(values[0]) > maxReasonRaw:
		return fmt.Sprintf("(a text of %d bytes, which is too long to be shown)", len(values[0]))
	}
	return strings.Clone(values[0])
}

// statedReason is what approvers see of it: masked before it is cut, so that no half of a
// secret is left; untrusted still.
func (h *handler) statedReason(x *exchange) string {
	raw := rawReason(x.r.Header.Values(StatedReasonHeader))
	if raw == "" {
		raw = h.caller.reason
	}
	text, err := url.PathUnescape(raw)
	if err != nil { // it was not encoded: 100% sure
		text = raw
	}
	out := []rune(h.Masker.Text(strings.ToValidUTF8(text, "\uFFFD")))
	if len(out) > maxReason {
		return string(out[:maxReason-1]) + "…"
	}
	return string(out)
}
