package index

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// atOnce is how many entries go into the index with one transaction.
const atOnce = 50_000

// update reads what of the log is not in the index yet.
func (x *Index) update(ctx context.Context) error {
	for {
		more, err := x.step(ctx)
		if err != nil || !more {
			return err
		}
	}
}

var errFull = errors.New("index: enough for one transaction")

func (x *Index) step(ctx context.Context) (more bool, err error) {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if err := prepare(ctx, tx); err != nil {
		return false, err
	}
	next, last, err := position(ctx, tx)
	if err != nil {
		return false, err
	}
	b := newBatch(ctx, tx)
	from := next
	if from > 0 {
		from-- // the last line again: is it still the same log?
	}
	same := next == 0
	err = x.records.Entries(ctx, from, func(e recorder.Entry) error {
		if e.Index < next {
			same = digest(e.Line) == last
			if !same {
				return errOther
			}
			return nil
		}
		if errors.Is(e.Err, recorder.ErrTorn) { // it is being written
			return nil
		}
		if err := b.add(e); err != nil {
			return err
		}
		next, last = e.Index+1, digest(e.Line)
		if b.n++; b.n >= atOnce {
			return errFull
		}
		return nil
	})
	more = errors.Is(err, errFull)
	if err != nil && !more {
		return false, err
	}
	if !same {
		return false, errOther
	}
	if b.n == 0 {
		return false, tx.Commit()
	}
	if err := b.flush(); err != nil {
		return false, err
	}
	for key, v := range map[string]any{"next": int64(next), "last": last} {
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO meta VALUES (?, ?)", key, v); err != nil {
			return false, err
		}
	}
	return more, tx.Commit()
}

// errOther makes Open throw the index away.
var errOther = errors.New("the index is of another log")

func digest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

func position(ctx context.Context, tx *sql.Tx) (next uint64, last string, err error) {
	var n int64
	err = tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'next'").Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'last'").Scan(&last)
	}
	return uint64(n), last, err
}

// batch gathers rows before they are written.
type batch struct {
	ctx      context.Context
	tx       *sql.Tx
	n        int
	calls    map[string]*row
	order    []*row
	sessions map[string]*recorder.Summary
	names    map[name]int64
}

type name struct {
	kind int
	text string
}

func newBatch(ctx context.Context, tx *sql.Tx) *batch {
	return &batch{ctx: ctx, tx: tx, calls: map[string]*row{}, sessions: map[string]*recorder.Summary{}, names: map[name]int64{}}
}

func (b *batch) add(e recorder.Entry) error {
	if e.Err != nil {
		var p recorder.Problem
		if !errors.As(e.Err, &p) {
			p.Err = e.Err
		}
		_, err := b.tx.ExecContext(b.ctx, "INSERT INTO problems VALUES (?, ?, ?)", p.File, p.Line, p.Err.Error())
		return err
	}
	if k := e.Event.Kind(); k == event.KindCheckpoint || k.OfRecorder() {
		return nil // of no session
	}
	s, err := b.session(e.Event)
	if err != nil {
		return err
	}
	s.Add(e.Event)
	if !recorder.OfCall(e.Event.Kind()) {
		return nil
	}
	c, err := b.call(e)
	if err != nil {
		return err
	}
	c.add(e)
	return nil
}

// session is the row of an event's session, from this batch or from the index.
func (b *batch) session(e event.Event) (*recorder.Summary, error) {
	id := e.Session()
	if id == "" {
		id = event.NoSession
	}
	if s := b.sessions[id]; s != nil {
		return s, nil
	}
	s, err := scanSession(b.tx.QueryRowContext(b.ctx, "SELECT "+sessionColumns+" FROM sessions WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		s, err = recorder.Summary{Session: id}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	b.sessions[id] = &s
	return &s, nil
}

const sessionColumns = "id, issuer, subject, label, groups, first, last, calls, allowed, denied, asked, refused, masked, closed, targets"

// scanSession reads the columns of a session.
func scanSession(row interface{ Scan(into ...any) error }) (recorder.Summary, error) {
	var s recorder.Summary
	var first, last int64
	var groups, targets string
	err := row.Scan(&s.Session, &s.User.Issuer, &s.User.Subject, &s.User.Label, &groups, &first, &last, &s.Calls, &s.Allowed, &s.Denied, &s.Asked, &s.Refused, &s.Masked, &s.Closed, &targets)
	if err != nil {
		return s, err
	}
	s.First, s.Last = time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
	return s, errors.Join(json.Unmarshal([]byte(groups), &s.User.Groups), json.Unmarshal([]byte(targets), &s.Targets))
}

func (b *batch) call(e recorder.Entry) (*row, error) {
	id := e.Event.Exchange()
	if c := b.calls[id]; c != nil {
		return c, nil
	}
	c := &row{id: id, session: e.Event.Session(), result: string(recorder.ResultOpen), risk: -1, start: int64(e.Index)}
	err := b.tx.QueryRowContext(b.ctx, `SELECT row, session, time, issuer, subject, label, target, service, operation, level, region, account, resource, resources,
		rank, result, status, error, masked, risk, approval, approvers, aws, key, ended, start FROM calls WHERE id = ?`, id).
		Scan(&c.row, &c.session, &c.time, &c.issuer, &c.subject, &c.label, &c.target, &c.service, &c.operation, &c.level, &c.region, &c.account, &c.resource, &c.resources,
			&c.rank, &c.result, &c.status, &c.err, &c.masked, &c.risk, &c.approval, &c.approvers, &c.aws, &c.key, &c.ended, &c.start)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("call %s: %w", id, err)
	}
	b.calls[id] = c
	b.order = append(b.order, c)
	return c, nil
}

func (b *batch) flush() error {
	for _, s := range b.sessions {
		groups, err := json.Marshal(s.User.Groups)
		if err != nil {
			return err
		}
		slices.Sort(s.Targets)
		targets, err := json.Marshal(s.Targets)
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(b.ctx, "INSERT OR REPLACE INTO sessions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
			s.Session, s.User.Issuer, s.User.Subject, s.User.Label, string(groups), s.First.UnixNano(), s.Last.UnixNano(), s.Calls, s.Allowed, s.Denied, s.Asked, s.Refused, s.Masked, s.Closed, string(targets)); err != nil {
			return err
		}
	}
	put, err := b.tx.PrepareContext(b.ctx, "INSERT OR REPLACE INTO calls VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		return err
	}
	defer put.Close()
	has, err := b.tx.PrepareContext(b.ctx, "INSERT OR IGNORE INTO has VALUES (?, ?)")
	if err != nil {
		return err
	}
	defer has.Close()
	for _, c := range b.order {
		var key any // a new row's is SQLite's to choose
		if c.row != 0 {
			key = c.row
		}
		res, err := put.ExecContext(b.ctx, key, c.id, c.session, c.time, c.issuer, c.subject, c.label, c.target, c.service, c.operation, c.level, c.region, c.account, c.resource, c.resources,
			c.rank, c.result, c.status, c.err, c.masked, c.risk, c.approval, c.approvers, c.aws, c.key, c.ended, c.start, c.stop)
		if err != nil {
			return err
		}
		if c.row == 0 {
			if c.row, err = res.LastInsertId(); err != nil {
				return err
			}
		}
		for _, n := range []name{{kindSubject, c.subject}, {kindLabel, c.label}, {kindTarget, c.target}} {
			if _, err := b.name(n); err != nil {
				return err
			}
		}
		for _, n := range c.has {
			id, err := b.name(n)
			if err != nil {
				return err
			}
			if _, err := has.ExecContext(b.ctx, id, c.row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) name(n name) (int64, error) {
	if id, ok := b.names[n]; ok {
		return id, nil
	}
	var id int64
	err := b.tx.QueryRowContext(b.ctx, "SELECT id FROM names WHERE kind = ? AND text = ?", n.kind, n.text).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		var res sql.Result
		if res, err = b.tx.ExecContext(b.ctx, "INSERT INTO names (kind, text) VALUES (?, ?)", n.kind, n.text); err == nil {
			id, err = res.LastInsertId()
		}
	}
	if err != nil {
		return 0, err
	}
	b.names[n] = id
	return id, nil
}
