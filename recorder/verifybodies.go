package recorder

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/event"
)

// bodies reads every pack: each payload must be the one that its header names.
func (v *verification) bodies(ctx context.Context) {
	v.there = map[[32]byte]struct{}{}
	list, odd, err := listPacks(v.dir)
	if err != nil {
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
			v.add(Found{Code: CodeDamaged, File: p.path, Detail: err.Error()})
		}
	}
	v.report.Bodies.There = len(v.there)
}

// finishBodies explains each missing body by a removal that the record tells of.
func (v *verification) finishBodies(ctx context.Context) {
	again := 1000 // that may have come since the packs were read

	for _, m := range v.missing {
		explained := false
		for _, r := range v.removals {
			explained = explained || r.index > m.index && r.explains(m)
		}
		if explained {
			v.report.Bodies.Removed++
			continue
		}
		if again--; again >= 0 {
			if _, err := (Records{Dir: v.dir}).Body(ctx, m.sum); err == nil {
				continue
			}
		}
		v.add(Found{Code: CodeBody, Index: &m.index, Detail: fmt.Sprintf("its body %s is missing, and no removal tells of it", m.sum)})
	}
}

func (r removal) explains(m missingBody) bool {
	if r.Why == event.RemovedSession {
		return r.Of == m.session
	}
	return m.time.Before(r.Before)
}
