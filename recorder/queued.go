package recorder

import (
	"context"
	"errors"
	"sync"

	"github.com/sallyport/sallyport/internal/wal"
)

// queued are the batches that hold events which nobody waits for yet, by exchange.
type queued struct {
	mu      sync.Mutex
	batches map[string][]*wal.Batch
}

func (q *queued) put(exchange string, b *wal.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.batches == nil {
		q.batches = map[string][]*wal.Batch{}
	}
	of := q.batches[exchange]
	if len(of) == 0 || of[len(of)-1] != b {
		q.batches[exchange] = append(of, b)
	}
}

// take waits for an exchange's batches, and says what became of them.
func (q *queued) take(ctx context.Context, exchange string) error {
	q.mu.Lock()
	of := q.batches[exchange]
	delete(q.batches, exchange)
	q.mu.Unlock()
	var failed error
	for _, b := range of {
		failed = errors.Join(failed, b.Wait(ctx))
	}
	return failed
}

// sweep forgets batches that are durable. One that failed stays until its exchange
// asks, which it does at its end.
func (q *queued) sweep() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for exchange, of := range q.batches {
		kept := of[:0]
		for _, b := range of {
			select {
			case <-b.Done():
				if b.Wait(context.Background()) != nil {
					kept = append(kept, b)
				}
			default:
				kept = append(kept, b)
			}
		}
		if q.batches[exchange] = kept; len(kept) == 0 {
			delete(q.batches, exchange)
		}
	}
}
