package event

import (
	"testing"
	"time"
)

// uncleaned is data of a known kind that nobody has written a cleaning for.
type uncleaned struct{ Common }

func (*uncleaned) Kind() Kind { return KindHold }

// It is no event: it would be on record with what an agent wrote as it is, or empty.
func TestDataThatNobodyCleans(t *testing.T) {
	id := NewIDs(nil).New()
	line, err := Encode(Event{ID: id, Source: "sallyport/test", Time: time.Unix(1e9, 0), Data: &uncleaned{Common{RequestID: id}}})
	if err == nil {
		t.Errorf("%s", line)
	}
}
