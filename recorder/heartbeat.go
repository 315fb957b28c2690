package recorder

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

const (
	beatEvery = time.Second
	beatSoon  = 200 * time.Millisecond
)

// Heartbeat is what a recorder publishes on <prefix>.recorders.<name>, every second
// and soon after it has written: how far it has come. It is for gateways, which cut
// their write-ahead files behind it and count who has confirmed recently.
type Heartbeat struct {
	Recorder string    `json:"recorder"`
	Stream   uint64    `json:"stream"` // every message of the stream up to this sequence is synced to disk
	Time     time.Time `json:"time"`
}

// HeartbeatSubject is where a recorder publishes its heartbeat; "*" is every one's.
func HeartbeatSubject(prefix, name string) string { return prefix + ".recorders." + name }

// AlarmSubject is where a recorder publishes its alarms; "*" is every one's.
func AlarmSubject(prefix, name string) string { return prefix + ".alarms." + name }

// progress is how far a recorder has come, without holes.
type progress struct {
	mu    sync.Mutex // guards all
	floor uint64
	above map[uint64]struct{}
}

// done marks messages of the stream as synced.
func (p *progress) done(sequences []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range sequences {
		if s > p.floor {
			p.above[s] = struct{}{}
		}
	}
	p.advance()
}

// atLeast raises the floor to what the server knows to be acknowledged: a message
// that the stream no longer has never comes.
func (p *progress) atLeast(floor uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if floor <= p.floor {
		return
	}
	p.floor = floor
	for s := range p.above {
		if s <= floor {
			delete(p.above, s)
		}
	}
	p.advance()
}

func (p *progress) advance() {
	for {
		if _, ok := p.above[p.floor+1]; !ok {
			return
		}
		delete(p.above, p.floor+1)
		p.floor++
	}
}

func (p *progress) get() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.floor
}

// beat publishes heartbeats until ctx ends, and a last one then.
func (r *Recorder) beat(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			r.publishBeat()
			return
		case <-tick.C:
			if err := r.Store.Tick(); err != nil {
				return // Run ends, too
			}
		case <-r.wrote:
			if wait := beatSoon - time.Since(last); wait > 0 {
				soon := time.NewTimer(wait)
				select {
				case <-ctx.Done():
				case <-soon.C:
				}
				soon.Stop()
			}
		}
		r.publishBeat()
		last = time.Now()
	}
}

// publishBeat says nothing while NATS is away: a heartbeat that waited would be one of
// a recorder that may be gone.
func (r *Recorder) publishBeat() {
	if r.Conn.Status() != nats.CONNECTED {
		return
	}
	b, err := json.Marshal(Heartbeat{Recorder: r.Store.name, Stream: r.progress.get(), Time: r.Store.now().UTC()})
	if err == nil {
		err = r.Conn.Publish(HeartbeatSubject(r.Prefix, r.Store.name), b)
	}
	if err != nil {
		r.Log.Warn("recorder: heartbeat", "error", err)
	}
}

// publishAlarm tells an alarm that is on record to whoever listens.
func (r *Recorder) publishAlarm(e event.Event, line []byte) {
	if err := r.Conn.Publish(AlarmSubject(r.Prefix, r.Store.name), line); err != nil {
		r.Log.Warn("recorder: an alarm is on record and could not be published", "event", e.ID, "error", err)
	}
}

// follow keeps the floor with what the server knows.
func (r *Recorder) follow(ctx context.Context, cons jetstream.Consumer) {
	tick := time.NewTicker(5 * beatEvery)
	defer tick.Stop()
	for {
		if info, err := cons.Info(ctx); err == nil {
			r.progress.atLeast(info.AckFloor.Stream)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
