package index

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/match"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// Query chooses calls, and sessions by their calls. Zero fields choose all. Globs
// have * for any text and ? for one character.
type Query struct {
	Since, Until time.Time // from Since on, before Until
	Session      string    // a whole id, or "none"
	Subject      string    // glob
	Label        string    // glob
	Target       string    // glob
	Account      string    // exactly
	Action       string    // glob of an IAM action, in any case: ec2:Terminate*
	Resource     string    // glob of an ARN
	Results      []recorder.Result
	Limit        int // 0 is all
}

// Call is one call in a listing.
type Call struct {
	ID        string             `json:"requestID"`
	Session   string             `json:"sessionID,omitempty"`
	Time      time.Time          `json:"eventTime"`
	Ended     time.Time          `json:"ended,omitzero"`
	User      event.UserIdentity `json:"userIdentity"` // without groups
	Target    string             `json:"target,omitempty"`
	Service   string             `json:"service,omitempty"`
	Operation string             `json:"eventName,omitempty"`
	Level     string             `json:"accessLevel,omitempty"`
	Region    string             `json:"awsRegion,omitempty"`
	Account   string             `json:"recipientAccountId,omitempty"`
	Resource  string             `json:"resource,omitempty"` // the first one
	Resources int                `json:"resources"`          // how many there are
	Result    recorder.Result    `json:"result"`
	Status    int                `json:"status,omitempty"` // HTTP
	Error     string             `json:"errorCode,omitempty"`
	Masked    int                `json:"masked"`
	Risk      int                `json:"risk"` // -1: not judged
	Approval  string             `json:"approval,omitempty"`
	Approvers string             `json:"approvers,omitempty"`
	AWSID     string             `json:"awsRequestID,omitempty"`
	KeyID     string             `json:"accessKeyId,omitempty"`
	From      uint64             `json:"from"` // indexes of its first and last entry in the log
	To        uint64             `json:"to"`
}

// most is how many values of one condition are asked for one by one.
const most = 16

// where is a condition on calls c. The calls that it chooses come in the order of the log
// from an index, or by looking at every call from the last.
type where struct {
	text []string
	args []any
	from string // tables, calls c among them, and how they are gone through
	any  string // the names of anyOf, JSON; "" where it is not among the conditions
}

// anyOf is a condition on calls that one of many names is of; ofFew is the same where such
// calls are few, which has's index then gives.
const (
	anyOf = "EXISTS (SELECT 1 FROM has o WHERE o.call = c.row AND o.name IN (SELECT value FROM json_each(?)))"
	ofFew = "c.row IN (SELECT h.call FROM has h WHERE h.name IN (SELECT value FROM json_each(?)))"
)

func (w where) and(text string, args ...any) where {
	w.text, w.args = append(slices.Clip(w.text), text), append(slices.Clip(w.args), args...)
	return w
}

func (w where) String() string {
	if len(w.text) == 0 {
		return "1"
	}
	return strings.Join(w.text, " AND ")
}

// of makes the condition of a query: of several, of which each chooses a part, where one
// of its fields has a few values. For each of these an index has the calls in order; for
// all at once SQLite would have to sort them. Of resources and actions it does so with up
// to so many names.
func (x *Index) of(ctx context.Context, q Query, names int) ([]where, error) {
	w := where{from: "calls c"}
	if !q.Since.IsZero() { // the order of the log is that of time, more or less
		var first int64 // found once: it takes a look at every call
		if err := x.db.QueryRowContext(ctx, "SELECT ifnull(min(row), 0) FROM calls WHERE time >= ?", q.Since.UnixNano()).Scan(&first); err != nil {
			return nil, err
		}
		w = w.and("c.time >= ? AND c.row >= ?", q.Since.UnixNano(), first)
	}
	if !q.Until.IsZero() {
		w = w.and("c.time < ?", q.Until.UnixNano())
	}
	if q.Session != "" {
		id := q.Session
		if id == event.NoSession {
			id = ""
		}
		w = w.and("c.session = ?", id)
	}
	if q.Account != "" {
		w = w.and("c.account = ?", q.Account)
	}
	out := []where{w}
	split := q.Session != "" // whose calls are few
	each := func(values []any, most int, one func(where, any) where, all func(where, string) where) error {
		text, err := json.Marshal(values)
		if err != nil {
			return err
		}
		if !split && len(values) <= most {
			split = true
			base := out[0]
			out = nil
			for _, v := range values {
				out = append(out, one(base, v))
			}
			return nil
		}
		for i := range out {
			out[i] = all(out[i], string(text))
		}
		return nil
	}
	for _, f := range []struct {
		kind int
		glob string
	}{{kindResource, q.Resource}, {kindAction, q.Action}} {
		if f.glob == "" {
			continue
		}
		ids, _, err := x.names(ctx, f.kind, f.glob)
		if err == nil {
			err = each(ids, names, func(w where, v any) where {
				w.from = "has h CROSS JOIN calls c ON c.row = h.call"
				return w.and("h.name = ?", v)
			}, func(w where, all string) where {
				w.any = cmp.Or(w.any, all)
				return w.and(anyOf, all)
			})
		}
		if err != nil {
			return nil, err
		}
	}
	column := func(name string, values []any) error {
		return each(values, most, func(w where, v any) where {
			if name != "label" && w.any == "" {
				w.from = "calls c INDEXED BY calls_" + name
			}
			return w.and("c."+name+" = ?", v)
		}, func(w where, all string) where {
			return w.and("c."+name+" IN (SELECT value FROM json_each(?))", all)
		})
	}
	if len(q.Results) > 0 {
		values := make([]any, len(q.Results))
		for i, r := range q.Results {
			values[i] = string(r)
		}
		if err := column("result", values); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct {
		name, glob string
		kind       int
	}{{"subject", q.Subject, kindSubject}, {"target", q.Target, kindTarget}, {"label", q.Label, kindLabel}} {
		if f.glob == "" {
			continue
		}
		_, values, err := x.names(ctx, f.kind, f.glob)
		if err == nil {
			err = column(f.name, values)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// names is the ids and the texts of the names that a glob matches.
func (x *Index) names(ctx context.Context, kind int, glob string) (ids, texts []any, err error) {
	if kind == kindAction {
		glob = strings.ToLower(glob)
	}
	rows, err := x.db.QueryContext(ctx, "SELECT id, text FROM names WHERE kind = ?", kind)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, nil, err
		}
		compared := text
		if kind == kindAction {
			compared = strings.ToLower(text)
		}
		if match.Match(compared, glob) {
			ids, texts = append(ids, id), append(texts, text)
		}
	}
	return ids, texts, rows.Err()
}

func limit(n int) int {
	if n <= 0 {
		return -1 // SQLite's word for all
	}
	return n
}

// Calls lists calls, the latest first.
func (x *Index) Calls(ctx context.Context, q Query) ([]Call, error) {
	return list(ctx, x, q, `id, session, time, ended, issuer, subject, label, target, service, operation, level, region, account, resource, resources,
		result, status, error, masked, risk, approval, approvers, aws, key, start, stop`, func(c *Call) ([]any, func()) {
		var at, ended int64
		return []any{&c.ID, &c.Session, &at, &ended, &c.User.Issuer, &c.User.Subject, &c.User.Label, &c.Target, &c.Service, &c.Operation, &c.Level, &c.Region, &c.Account, &c.Resource, &c.Resources,
				&c.Result, &c.Status, &c.Error, &c.Masked, &c.Risk, &c.Approval, &c.Approvers, &c.AWSID, &c.KeyID, &c.From, &c.To}, func() {
				if c.Time = time.Unix(0, at).UTC(); ended != 0 {
					c.Ended = time.Unix(0, ended).UTC()
				}
			}
	})
}

// Span is where in the log the events of a call are: the indexes of its first and of its
// last.
type Span struct {
	ID       string
	From, To uint64
}

// Spans lists calls as Calls does, with nothing but their places: some 70 bytes a call,
// where Calls takes several hundred.
func (x *Index) Spans(ctx context.Context, q Query) ([]Span, error) {
	return list(ctx, x, q, "id, start, stop", func(s *Span) ([]any, func()) {
		return []any{&s.ID, &s.From, &s.To}, func() {}
	})
}

// Beginning lists calls whose ids begin so, in any case, in the order of their ids and at
// most so many. Nothing begins with "".
func (x *Index) Beginning(ctx context.Context, prefix string, most int) ([]Span, error) {
	prefix = strings.ToUpper(prefix)
	if prefix == "" || !event.ValidID(prefix+zeros[min(len(prefix), len(zeros)):]) {
		return nil, nil
	}
	// "~" is behind all that is in an id.
	rows, err := x.db.QueryContext(ctx, "SELECT id, start, stop FROM calls WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", prefix, prefix+"~", most)
	if err != nil {
		return nil, fmt.Errorf("find a call: %w", err)
	}
	defer rows.Close()
	var out []Span
	for rows.Next() {
		var s Span
		if err := rows.Scan(&s.ID, &s.From, &s.To); err != nil {
			return nil, fmt.Errorf("find a call: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

const zeros = "00000000000000000000000000" // the least id

// list gives these columns of the calls that q chooses, the latest first. into says where
// a row's go, and what is done with them then.
func list[T any](ctx context.Context, x *Index, q Query, columns string, into func(*T) ([]any, func())) ([]T, error) {
	parts, err := x.of(ctx, q, most)
	if err != nil {
		return nil, err
	}
	var all []numbered[T]
	for _, w := range parts {
		w, _, err := x.narrowed(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("list calls: %w", err)
		}
		if all, err = add(ctx, x, all, w, q.Limit, columns, into); err != nil {
			return nil, fmt.Errorf("list calls: %w", err)
		}
	}
	if len(parts) > 1 {
		slices.SortFunc(all, func(a, b numbered[T]) int { return cmp.Compare(b.row, a.row) })
		all = slices.CompactFunc(all, func(a, b numbered[T]) bool { return a.row == b.row })
	}
	if q.Limit > 0 {
		all = all[:min(len(all), q.Limit)]
	}
	out := make([]T, len(all))
	for i, c := range all {
		out[i] = c.of
	}
	return out, nil
}

// numbered is something of a call with its place in the order of the log.
type numbered[T any] struct {
	row int64
	of  T
}

// add puts the last n calls that w chooses behind all.
func add[T any](ctx context.Context, x *Index, all []numbered[T], w where, n int, columns string, into func(*T) ([]any, func())) ([]numbered[T], error) {
	order := "c.row"
	if strings.HasPrefix(w.from, "has") {
		order = "h.call" // the same, and in its index
	}
	//nolint:gosec // the condition is made of constants; what people give goes in as arguments
	rows, err := x.db.QueryContext(ctx, `SELECT c.row, `+columns+` FROM `+w.from+` WHERE `+w.String()+` ORDER BY `+order+` DESC LIMIT ?`, append(slices.Clip(w.args), limit(n))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c numbered[T]
		to, done := into(&c.of)
		if err := rows.Scan(append([]any{&c.row}, to...)...); err != nil {
			return nil, err
		}
		done()
		all = append(all, c)
	}
	return all, rows.Err()
}

// few is up to how many calls are looked up one by one.
const few = 2000

// count is how many rows a query has, up to few.
func (x *Index) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = x.db.QueryRowContext(ctx, "SELECT count(*) FROM ("+query+" LIMIT ?)", append(slices.Clip(args), few)...).Scan(&n)
	return n, err
}

// narrowed is w with ofFew where anyOf chooses few calls. n is at most how many calls it
// chooses then, few where nothing better than looking at calls is known, and -1 where
// that would have to be counted.
func (x *Index) narrowed(ctx context.Context, w where) (_ where, n int, err error) {
	i := slices.Index(w.text, anyOf)
	if i < 0 || strings.HasPrefix(w.from, "has") { // which is narrow by itself
		return w, -1, nil
	}
	n, err = x.count(ctx, "SELECT 1 FROM has WHERE name IN (SELECT value FROM json_each(?))", w.any)
	if n < few {
		w.text, w.from = slices.Clone(w.text), "calls c"
		w.text[i] = ofFew
	} else if w.from != "calls c" { // another condition may choose few
		n = -1
	}
	return w, n, err
}

// Sessions lists the sessions that have a call which q chooses, the latest first. A
// query without conditions lists those without calls too.
func (x *Index) Sessions(ctx context.Context, q Query) ([]recorder.Summary, error) {
	// A session would be looked through once for each name before it is known not to have
	// any: with all of them at once it mostly has one soon.
	parts, err := x.of(ctx, q, 1)
	if err != nil {
		return nil, err
	}
	cond, args := "(s.id <> 'none' OR s.refused > 0)", []any{} // else it is the gateways' and recorders' own events
	if len(parts) != 1 || len(parts[0].text) > 0 {
		cond = "0"
		for _, w := range parts {
			w, n, err := x.narrowed(ctx, w)
			if err == nil && n < 0 {
				n, err = x.count(ctx, "SELECT 1 FROM "+w.from+" WHERE "+w.String(), w.args...)
			}
			if err != nil {
				return nil, fmt.Errorf("list sessions: %w", err)
			}
			if n < few { // the few calls tell which sessions
				cond += " OR s.id IN (SELECT iif(c.session = '', 'none', c.session) FROM " + w.from + " WHERE " + w.String() + ")"
			} else { // most sessions have one soon
				from := "calls c INDEXED BY calls_session"
				text := w.String()
				if strings.HasPrefix(w.from, "has") {
					text = strings.Replace(text, "h.name = ?", "EXISTS (SELECT 1 FROM has h WHERE h.call = c.row AND h.name = ?)", 1)
				}
				cond += " OR EXISTS (SELECT 1 FROM " + from + " WHERE c.session = iif(s.id = 'none', '', s.id) AND " + text + ")"
			}
			args = append(args, w.args...)
		}
	}
	//nolint:gosec // as with calls
	rows, err := x.db.QueryContext(ctx, "SELECT "+sessionColumns+" FROM sessions s WHERE "+cond+" ORDER BY last DESC, id DESC LIMIT ?", append(args, limit(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer rows.Close()
	out := []recorder.Summary{}
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Problems is what of the log could not be read.
func (x *Index) Problems(ctx context.Context) ([]recorder.Problem, error) {
	rows, err := x.db.QueryContext(ctx, "SELECT file, line, why FROM problems")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []recorder.Problem
	for rows.Next() {
		var p recorder.Problem
		var why string
		if err := rows.Scan(&p.File, &p.Line, &why); err != nil {
			return nil, err
		}
		p.Err = errors.New(why)
		out = append(out, p)
	}
	return out, rows.Err()
}
