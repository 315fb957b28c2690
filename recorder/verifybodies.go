package recorder

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// bodies reads every pack: each payload must be the one that its header names.
func (v *verification) bodies(ctx context.Context) {
	v.there = map[[32]byte]struct{}{}
	list, odd, err := listPacks(v.dir)
	if err != nil {
		v.refused(err)
		v.add(Found{Code: CodeDamaged, File: filepath.Join(v.dir, bodiesDir), Detail: err.Error()})
	}
	for _, path := range odd {
		if !strings.HasSuffix(path, tmpSuffix) {
			v.add(Found{Code: CodeDamaged, File: path, Detail: "a file that is no pack"})
		}
	}
	for i, p := range list {
		bad := func(at int64, what error) error {
			if what == errTornPack && i == len(list)-1 { //nolint:errorlint // given as it is
				v.report.Torn = true // of a crash: no line names it
				return nil
			}
			v.add(Found{Code: CodeDamaged, File: p.path, Detail: fmt.Sprintf("offset %d: %v", at, what)})
			return nil
		}
		err := p.each(true, func(h packed, stored []byte) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b, err := unpack(h, stored)
			if err != nil {
				return bad(h.offset, err)
			}
			v.report.Bodies.Bytes += int64(len(b))
			v.report.Bodies.Stored += h.end() - h.offset
			v.there[h.sum] = struct{}{}
			return nil
		}, bad)
		if err != nil {
			v.refused(err)
			v.add(Found{Code: CodeDamaged, File: p.path, Detail: err.Error()})
		}
	}
	v.report.Bodies.There = len(v.there)
}

// finishBodies explains each missing body by a removal that the record tells of.
func (v *verification) finishBodies(ctx context.Context) {
	again := 1000 // that may have come since the packs were read
	v.removals.finish()
	for _, m := range v.missing {
		if v.removals.explain(m) {
			v.report.Bodies.Removed++
			continue
		}
		if again--; again >= 0 {
			_, err := Records{Dir: v.dir}.Body(ctx, m.sum)
			if err == nil {
				continue
			}
			v.refused(err)
		}
		v.add(Found{Code: CodeBody, Index: &m.index, Detail: fmt.Sprintf("its body %s is missing, and no removal that was signed tells of it", m.sum)})
	}
}

// vouched reports that the recorder signed for the line of a removal. It does so within
// some 100 ms, before anybody copies the store or a minute is over: else who took bodies
// away could append the line that explains it.
func (v *verification) vouched(index uint64, at time.Time) bool {
	if v.written != nil && index < v.written.Size {
		return true
	}
	since := v.now.Sub(at)
	return since >= 0 && since < chainWait
}

// removals are what was let go, and behind which line: thousands, for millions of bodies.
type removals struct {
	sessions map[string]uint64 // line of the last one of a session
	others   []bound           // in the order of the log
}

// bound is a removal of all that is older.
type bound struct {
	index  uint64
	before time.Time // of this one, or of one behind it; once finished
}

func (r *removals) add(index uint64, d *event.Removed) {
	if d.Why != event.RemovedSession {
		r.others = append(r.others, bound{index, d.Before})
		return
	}
	if r.sessions == nil {
		r.sessions = map[string]uint64{}
	}
	r.sessions[d.Of] = index
}

func (r *removals) finish() {
	for i := len(r.others) - 2; i >= 0; i-- {
		if next := r.others[i+1].before; next.After(r.others[i].before) {
			r.others[i].before = next
		}
	}
}

// explain reports a removal, behind the line that names a body, which let it go.
func (r *removals) explain(m missingBody) bool {
	if last, ok := r.sessions[m.session]; ok && last > m.index {
		return true
	}
	i, _ := slices.BinarySearchFunc(r.others, m.index+1, func(b bound, index uint64) int { return cmp.Compare(b.index, index) })
	return i < len(r.others) && m.time.Before(r.others[i].before)
}
