package approvals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// grantPrefix begins the keys of grants, which share the bucket with records: their
// keys are digests, which have no dot.
const grantPrefix = "grant."

// grantKey is grant.<session>.<approval>, two ULIDs.
func grantKey(session, approval string) string { return grantPrefix + session + "." + approval }

func (g *GrantRecord) key() string { return grantKey(g.Request.SessionID, g.Request.Approval) }

// getGrant gives errNone where there is no such grant.
func (s bucket) getGrant(ctx context.Context, key string) (GrantRecord, uint64, error) {
	entry, err := s.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return GrantRecord{}, 0, errNone
	}
	if err != nil {
		return GrantRecord{}, 0, fmt.Errorf("read a grant: %w", err)
	}
	g, _ := decodeGrant(entry.Key(), entry.Value()) // what is none lets nothing through
	return g, entry.Revision(), nil
}

// putGrant writes g over revision; 0 is for a key that is not there.
func (s bucket) putGrant(ctx context.Context, g GrantRecord, revision uint64) (uint64, error) {
	value, err := json.Marshal(g)
	if err != nil {
		return 0, fmt.Errorf("write a grant: %w", err)
	}
	if len(value) > maxRecord {
		return 0, fmt.Errorf("the state of a grant has %d bytes, the limit is %d", len(value), maxRecord)
	}
	revision, err = s.kv.Update(ctx, g.key(), value, revision)
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, errConflict
	}
	if err != nil {
		return 0, fmt.Errorf("write a grant: %w", err)
	}
	return revision, nil
}

// decodeGrant reads what a gateway wrote under key, and nothing else, as decodeRecord
// does.
func decodeGrant(key string, b []byte) (GrantRecord, bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var g GrantRecord
	if err := dec.Decode(&g); err != nil || g.key() != key || !strings.HasPrefix(key, grantPrefix) {
		return GrantRecord{}, false
	}
	return g, true
}
