package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// where is a condition with its arguments.
type where struct {
	text []string
	args []any
}

func (w *where) add(text string, args ...any) {
	w.text, w.args = append(w.text, text), append(w.args, args...)
}

func (w *where) String() string {
	if len(w.text) == 0 {
		return "1"
	}
	return strings.Join(w.text, " AND ")
}

// of makes the condition on calls c.
func (x *Index) of(ctx context.Context, q Query) (*where, error) {
	w := &where{}
	if !q.Since.IsZero() {
		w.add("c.time >= ?", q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		w.add("c.time < ?", q.Until.UnixNano())
	}
	if q.Session != "" {
		id := q.Session
		if id == event.NoSession {
			id = ""
		}
		w.add("c.session = ?", id)
	}
	if q.Account != "" {
		w.add("c.account = ?", q.Account)
	}
	for _, f := range []struct{ column, glob string }{{"subject", q.Subject}, {"label", q.Label}, {"target", q.Target}} {
		if f.glob == "" {
			continue
		}
		if !strings.ContainsAny(f.glob, `*?`) {
			w.add("c."+f.column+" = ?", f.glob)
			continue
		}
		w.add("c."+f.column+" GLOB ?", strings.ReplaceAll(f.glob, "[", "[[]"))
	}
	if len(q.Results) > 0 {
		text, err := json.Marshal(q.Results)
		if err != nil {
			return nil, err
		}
		w.add("c.result IN (SELECT value FROM json_each(?))", string(text))
	}
	for _, f := range []struct {
		kind int
		glob string
	}{{kindAction, q.Action}, {kindResource, q.Resource}} {
		if f.glob == "" {
			continue
		}
		ids, err := x.names(ctx, f.kind, f.glob)
		if err != nil {
			return nil, err
		}
		w.add("c.row IN (SELECT call FROM has WHERE name IN (SELECT value FROM json_each(?)))", ids)
	}
	return w, nil
}

// names is the ids of the names that a glob matches, as JSON.
func (x *Index) names(ctx context.Context, kind int, glob string) (string, error) {
	if kind == kindAction {
		glob = strings.ToLower(glob)
	}
	rows, err := x.db.QueryContext(ctx, "SELECT id, text FROM names WHERE kind = ?", kind)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	ids := []int64{}
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return "", err
		}
		if kind == kindAction {
			text = strings.ToLower(text)
		}
		if match.Match(text, glob) {
			ids = append(ids, id)
		}
	}
	out, err := json.Marshal(ids)
	return string(out), errors.Join(err, rows.Err())
}

func limit(n int) int {
	if n <= 0 {
		return -1 // SQLite's word for all
	}
	return n
}

// Calls lists calls, the latest first.
func (x *Index) Calls(ctx context.Context, q Query) ([]Call, error) {
	w, err := x.of(ctx, q)
	if err != nil {
		return nil, err
	}
	//nolint:gosec // the condition is made of constants; what people give goes in as arguments
	rows, err := x.db.QueryContext(ctx, `SELECT id, session, time, ended, issuer, subject, label, target, service, operation, level, region, account, resource, resources,
		result, status, error, masked, risk, approval, approvers, aws, key, start, stop FROM calls c WHERE `+w.String()+` ORDER BY c.time DESC, c.id DESC LIMIT ?`, append(w.args, limit(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("list calls: %w", err)
	}
	defer rows.Close()
	out := []Call{}
	for rows.Next() {
		var c Call
		var at, ended int64
		if err := rows.Scan(&c.ID, &c.Session, &at, &ended, &c.User.Issuer, &c.User.Subject, &c.User.Label, &c.Target, &c.Service, &c.Operation, &c.Level, &c.Region, &c.Account, &c.Resource, &c.Resources,
			&c.Result, &c.Status, &c.Error, &c.Masked, &c.Risk, &c.Approval, &c.Approvers, &c.AWSID, &c.KeyID, &c.From, &c.To); err != nil {
			return nil, fmt.Errorf("list calls: %w", err)
		}
		if c.Time = time.Unix(0, at).UTC(); ended != 0 {
			c.Ended = time.Unix(0, ended).UTC()
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// Sessions lists the sessions that have a call which q chooses, the latest first. A
// query without conditions lists those without calls too.
func (x *Index) Sessions(ctx context.Context, q Query) ([]recorder.Summary, error) {
	w, err := x.of(ctx, q)
	if err != nil {
		return nil, err
	}
	cond := "(s.id <> 'none' OR s.refused > 0)" // else it is the gateways' and recorders' own events
	if len(w.text) > 0 {
		cond = "EXISTS (SELECT 1 FROM calls c WHERE c.session = iif(s.id = 'none', '', s.id) AND " + w.String() + ")"
	}
	rows, err := x.db.QueryContext(ctx, "SELECT "+sessionColumns+" FROM sessions s WHERE "+cond+" ORDER BY last DESC, id DESC LIMIT ?", append(w.args, limit(q.Limit))...)
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
