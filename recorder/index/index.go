// Package index answers questions about the record quickly. It is disposable: made
// from the log, brought up to date whenever it is asked, and made anew when it is
// damaged, of another version, or of another log. Nothing in it is evidence; what
// proves something is read from the log.
package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver: SQLite in Go, so that no C compiler is needed

	"github.com/sallyport/sallyport/recorder"
)

// File is the index's name in a store.
const File = "index.sqlite"

// version is of the tables below.
const version = 3

const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT;
CREATE TABLE sessions (
	id TEXT PRIMARY KEY, issuer TEXT NOT NULL, subject TEXT NOT NULL, label TEXT NOT NULL, groups TEXT NOT NULL,
	first INTEGER NOT NULL, last INTEGER NOT NULL, calls INTEGER NOT NULL, allowed INTEGER NOT NULL, denied INTEGER NOT NULL,
	asked INTEGER NOT NULL, refused INTEGER NOT NULL, masked INTEGER NOT NULL, closed INTEGER NOT NULL, targets TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_last ON sessions (last);
CREATE TABLE calls (
	row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, time INTEGER NOT NULL,
	issuer TEXT NOT NULL, subject TEXT NOT NULL, label TEXT NOT NULL, target TEXT NOT NULL, service TEXT NOT NULL, operation TEXT NOT NULL,
	level TEXT NOT NULL, region TEXT NOT NULL, account TEXT NOT NULL, resource TEXT NOT NULL, resources INTEGER NOT NULL,
	rank INTEGER NOT NULL, result TEXT NOT NULL, status INTEGER NOT NULL, error TEXT NOT NULL, masked INTEGER NOT NULL, risk INTEGER NOT NULL,
	approval TEXT NOT NULL, approvers TEXT NOT NULL, aws TEXT NOT NULL, key TEXT NOT NULL, ended INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_time ON calls (time);
CREATE INDEX calls_session ON calls (session);
CREATE INDEX calls_result ON calls (result);
CREATE INDEX calls_subject ON calls (subject);
CREATE INDEX calls_target ON calls (target);
CREATE TABLE names (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text)) STRICT;
CREATE TABLE has (name INTEGER NOT NULL, call INTEGER NOT NULL, PRIMARY KEY (name, call)) STRICT, WITHOUT ROWID;
CREATE INDEX has_call ON has (call, name);
CREATE TABLE problems (file TEXT NOT NULL, line INTEGER NOT NULL, why TEXT NOT NULL) STRICT;
`

// The kinds of names.
const (
	kindAction = iota
	kindResource
	kindSubject // these are columns of calls, and their names serve for globs alone
	kindLabel
	kindTarget
)

// Index is an open index. Use Open; close it after use.
type Index struct {
	db      *sql.DB
	records recorder.Records
}

// Open opens a store's index and brings it up to date. Where the store cannot be
// written, as an auditor's copy, the index is in memory and made for this time alone.
func Open(ctx context.Context, r recorder.Records) (*Index, error) {
	if _, err := os.Stat(r.Dir); errors.Is(err, fs.ErrNotExist) {
		return open(ctx, r, ":memory:") // nothing is recorded yet
	}
	path := filepath.Join(r.Dir, File)
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file: somebody put a link there", path)
	}
	x, err := open(ctx, r, path)
	if err == nil || ctx.Err() != nil {
		return x, err
	}
	if err := Remove(r); err == nil {
		if x, err := open(ctx, r, path); err == nil || ctx.Err() != nil {
			return x, err
		}
	}
	return open(ctx, r, ":memory:")
}

// Foreign is Open for a store that is not one's own, as an auditor's copy: the index that
// may be in it could say anything, and nothing is written into evidence. It is in memory
// and made for this time alone.
func Foreign(ctx context.Context, r recorder.Records) (*Index, error) {
	return open(ctx, r, ":memory:")
}

// Remove throws a store's index away.
func Remove(r recorder.Records) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(filepath.Join(r.Dir, File+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the index: %w", err)
		}
	}
	return nil
}

func open(ctx context.Context, r recorder.Records, path string) (*Index, error) {
	if path != ":memory:" {
		// SQLite makes files with the mode of the umask.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the index: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("open the index: %w", err)
		}
	}
	name := path
	if path != ":memory:" { // as it is a ? would end the name
		name = "file:" + (&url.URL{Path: path}).EscapedPath()
	}
	db, err := sql.Open("sqlite", name+"?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=temp_store(MEMORY)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	db.SetMaxOpenConns(1) // one is enough for a command, and :memory: is of a connection
	x := &Index{db: db, records: r}
	if err := x.update(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("bring the index up to date: %w", err)
	}
	return x, nil
}

// Close closes the index.
func (x *Index) Close() error { return x.db.Close() }

// prepare makes the tables, or anew where they are of another version.
func prepare(ctx context.Context, tx *sql.Tx) error {
	var have int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have == version {
		_, err := tx.ExecContext(ctx, "SELECT 1 FROM meta, sessions, calls, names, has, problems LIMIT 0")
		return err
	}
	if have != 0 {
		return errors.New("the index is of another version")
	}
	_, err := tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d;", version))
	return err
}
