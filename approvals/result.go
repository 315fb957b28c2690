package approvals

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/event"
)

// Result is AWS's answer to a call that people approved, as the agent got it or would
// have: masked, and without the headers that it never gets. It is the value of the key
// result.<exchange>.
type Result struct {
	Exchange string      `json:"exchange"` // ULID
	Digest   string      `json:"digest"`   // of the call
	At       time.Time   `json:"at"`
	Status   int         `json:"status"`
	Header   http.Header `json:"header,omitempty"`
	Body     []byte      `json:"body,omitempty"` // at most MaxResult bytes
}

// encode gives the value and its digest, by which the call's state names it.
func (r Result) encode() ([]byte, *event.Digest, error) {
	if len(r.Body) > MaxResult {
		return nil, nil, errors.New("approvals: the answer is too large to be kept")
	}
	value, err := json.Marshal(r)
	if err != nil {
		return nil, nil, err
	}
	if len(value) > maxRecord {
		return nil, nil, errors.New("approvals: the answer's headers are too large to be kept")
	}
	sum := sha256.Sum256(value)
	return value, &event.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(value))}, nil
}

// decodeResult reads what a gateway kept for e. The digest stands in the call's state:
// whoever can have messages copied into the bucket could otherwise choose what an agent
// is answered.
func decodeResult(value []byte, e Execution) (*Result, bool) {
	if e.Stored == nil {
		return nil, false
	}
	if sum := sha256.Sum256(value); hex.EncodeToString(sum[:]) != e.Stored.SHA256 {
		return nil, false
	}
	var r Result
	return &r, json.Unmarshal(value, &r) == nil
}
