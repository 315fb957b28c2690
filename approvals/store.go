package approvals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the key-value bucket. Records are under their digests; every other key
// has a dot in it, so that the watch of records ("*") does not see it:
// grant.<session>.<approval> of grants, call.<digest> and result.<exchange> of Calls,
// and slack.* of links.
const Bucket = "SALLYPORT_PENDING"

// maxRecord is the most bytes of a record, below NATS's usual max_payload.
const maxRecord = 768 << 10

var (
	errNone     = errors.New("approvals: there is no record of this call")
	errConflict = errors.New("approvals: another gateway changed the record first")
)

// bucket reads and changes records. Every change names the revision it was made
// from, so that of two gateways one must look again.
type bucket struct{ kv jetstream.KeyValue }

func (s bucket) get(ctx context.Context, digest string) (Record, uint64, error) {
	entry, err := s.kv.Get(ctx, digest)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Record{}, 0, errNone
	}
	if err != nil {
		return Record{}, 0, fmt.Errorf("read the state of an approval: %w", err)
	}
	r, _ := decodeRecord(entry.Key(), entry.Value()) // what is none says nothing, and may be replaced
	return r, entry.Revision(), nil
}

// put writes r over revision; 0 is for a key that is not there.
func (s bucket) put(ctx context.Context, r Record, revision uint64) (uint64, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("write the state of an approval: %w", err)
	}
	if len(value) > maxRecord {
		return 0, fmt.Errorf("the state of an approval has %d bytes, the limit is %d", len(value), maxRecord)
	}
	revision, err = s.kv.Update(ctx, r.Request.Digest, value, revision)
	if isConflict(err) {
		return 0, errConflict
	}
	if err != nil {
		return 0, fmt.Errorf("write the state of an approval: %w", err)
	}
	return revision, nil
}

// isConflict reports a change that was made from an older revision.
func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// decodeRecord reads what a gateway wrote under key, and nothing else: whoever may
// create consumers can have the server copy other streams' messages into the bucket.
func decodeRecord(key string, b []byte) (Record, bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var r Record
	if err := dec.Decode(&r); err != nil || r.Request.Digest != key {
		return Record{}, false
	}
	return r, true
}
