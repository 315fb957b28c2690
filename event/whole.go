package event

import (
	"encoding/json"
	"time"
)

// maxWhole bounds what Whole takes for certain: with JSON's escapes, six bytes for one,
// it is still below DefaultLimit.
const maxWhole = 128 << 10

// Whole reports that a request event with these parameters has them all: that nothing of
// them is too long, too deep or too much. It may be false of some that would be.
func Whole(params map[string]any) bool {
	left := maxWhole
	return whole(params, 0, &left)
}

func whole(v any, depth int, left *int) bool {
	if *left -= 8; depth > maxDepth || *left < 0 {
		return false
	}
	switch v := v.(type) {
	case nil, bool, int, int32, int64, uint, uint32, uint64, float64, time.Time:
		*left -= 32
	case json.Number:
		*left -= len(v)
		return len(v) <= 64
	case string:
		*left -= len(v)
		return len(v) <= MaxText && *left >= 0
	case []any:
		for _, e := range v {
			if !whole(e, depth+1, left) {
				return false
			}
		}
	case map[string]any:
		for k, e := range v {
			*left -= len(k)
			if len(k) > MaxText || !whole(e, depth+1, left) {
				return false
			}
		}
	default:
		return false
	}
	return true
}
