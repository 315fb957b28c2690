package recorder

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sallyport/sallyport/event"
)

const (
	maxChains    = 1000 // sources that are followed at once
	alarmsAtOnce = 10   // of one code and source; then one every alarmEvery, with a count
	alarmEvery   = time.Minute
	maxAlarmed   = 4096 // codes and sources that are counted
)

// watch looks at what a store is given and tells what should not be. Its owner is the
// store, under whose lock it is used.
type watch struct {
	source  string // of the recorder's own events
	ids     *event.IDs
	now     func() time.Time
	byID    *recent[lineKey] // the line that an event id stands for
	chains  *chains
	pending []finding
	told    map[string]*told
}

type told struct {
	times   int
	last    time.Time
	skipped int
}

func newWatch(name string, now func() time.Time) *watch {
	w := &watch{source: recorderSource + name, ids: event.NewIDs(now), now: now, byID: newRecent[lineKey](recentLines), told: map[string]*told{}}
	w.chains = newChains(w.source, func(f finding) { w.pending = append(w.pending, f) })
	w.chains.most = maxChains
	return w
}

// add looks at a line that is new.
func (w *watch) add(index uint64, k kept, sum [32]byte) {
	if k.old || k.own {
		return
	}
	if k.event.Data == nil {
		var o opaque
		_ = json.Unmarshal(k.line, &o) // of our own making
		w.pending = append(w.pending, finding{code: CodeOpaque, index: index, detail: fmt.Sprintf("message %.40q on %.120q: %.200s", o.Opaque.MsgID, o.Opaque.Subject, o.Opaque.Why)})
		return
	}
	if id, err := ulid.ParseStrict(k.event.ID); err == nil {
		key := lineKey(sum[:16])
		if other, there := w.byID.get(lineKey(id)); there && other != key {
			w.pending = append(w.pending, finding{code: CodeFork, source: k.event.Source, index: index, detail: fmt.Sprintf("two different events have the id %s", k.event.ID)})
		}
		w.byID.put(lineKey(id), key)
	}
	w.chains.add(index, k.event, hex.EncodeToString(sum[:]), w.now())
}

// alarms turns what was found into events, as many as anybody would read.
func (w *watch) alarms() ([]kept, error) {
	var out []kept
	for _, f := range w.pending {
		key := f.code + " " + f.source
		t := w.told[key]
		if t == nil {
			if len(w.told) >= maxAlarmed {
				clear(w.told)
			}
			t = &told{}
			w.told[key] = t
		}
		now := w.now()
		if t.times >= alarmsAtOnce && now.Sub(t.last) < alarmEvery && !now.Before(t.last) {
			t.skipped++
			continue
		}
		detail := f.detail
		if !f.elsewhere {
			detail += fmt.Sprintf(" (entry %d)", f.index)
		}
		if t.skipped > 0 {
			detail += fmt.Sprintf("; and %d more since the last alarm of this kind", t.skipped)
		}
		t.times, t.last, t.skipped = t.times+1, now, 0
		k, err := w.event(&event.Alarm{Code: f.code, Source: f.source, Sequence: f.sequence, Detail: detail})
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	w.pending = w.pending[:0]
	return out, nil
}

// event makes one of the recorder's own events.
func (w *watch) event(d event.Data) (kept, error) {
	e := event.Event{ID: w.ids.New(), Source: w.source, Time: w.now(), Data: d}
	h := d.Head()
	h.RequestID, h.EventTime = e.ID, e.Time
	line, err := event.Encode(e)
	return kept{line: line, event: e}, err
}

// learn takes a line that was written before the last restart: what is wrong with it
// was told then.
func (w *watch) learn(l rawLine) {
	source, sequence, prev, ok := placeOf(l.b)
	if !ok {
		return
	}
	ch := w.chains.by[source]
	if ch == nil {
		if len(w.chains.by) >= maxChains {
			return
		}
		ch = newChain(source)
		w.chains.by[source] = ch
	}
	ch.add(sequence, link{index: l.index, prev: prev, digest: hex.EncodeToString(l.digest[:])}, w.now(), func(finding) {})
}

// learned begins the chains of which the beginning is further back than what was read.
// If all was read, it is not there: a recorder that was killed before it wrote the first
// messages it was given gets them after those behind them.
func (w *watch) learned(all bool) {
	if all {
		return
	}
	for _, ch := range w.chains.by {
		if ch.first == 0 {
			ch.giveUp(func(finding) {})
		}
	}
}

// placeOf reads an event's place in its chain off a line as event.Encode writes it,
// without a look at anything else. A quote in a text is escaped, so that no text can
// look like a member.
func placeOf(line []byte) (source string, sequence uint64, prev string, ok bool) {
	head, _, found := bytes.Cut(line, []byte(`,"data":`))
	if !found {
		return "", 0, "", false
	}
	var a struct{ Source, Sequence, PrevDigest string }
	if json.Unmarshal(append(bytes.Clone(head), '}'), &a) != nil {
		return "", 0, "", false
	}
	e := event.Event{Extensions: map[string]string{"sequence": a.Sequence, "prevdigest": a.PrevDigest}}
	sequence, prev, ok = event.Chained(e)
	return a.Source, sequence, prev, ok && !strings.HasPrefix(a.Source, recorderSource)
}
