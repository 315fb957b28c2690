package recorder

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	checkpoint "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/event"
)

// VerifyOptions say what a record is held against. The zero value checks it against
// itself: whoever wrote the whole store, its recorder's key included, could have made
// it up. Key and Checkpoint are what shows that.
type VerifyOptions struct {
	Key        string    // the recorder's public key (vkey), from elsewhere; "" is that in the store
	Checkpoint []byte    // a signed checkpoint of the same recorder that was kept elsewhere; nil is none
	Gateways   []string  // the sources that may be here, and must be; nil is any
	Now        time.Time // what is missing from the last minute may be under way; zero is time.Now
	Most       int       // findings that are kept; 0 is 1000. All are counted
}

// Verify reads a whole store and says all that is wrong with it, and what it does not
// prove. It writes nothing. An error is of ctx, of a key or checkpoint that was given
// and cannot be read, of a folder that is no store, or of a file there that the caller
// may not read; whatever else is in the store is in the report.
func (r Records) Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	v := &verification{dir: r.Dir, now: o.Now, report: &Report{Sources: []SourceReport{}, Problems: []Found{}}, most: o.Most}
	if v.most <= 0 {
		v.most = 1000
	}
	verifier, err := v.verifier(o.Key)
	if err != nil {
		return nil, err
	}
	if o.Checkpoint != nil { // another file, given by mistake, says nothing about the record
		if _, err := new(checkpoint.Checkpoint).Unmarshal(o.Checkpoint); err != nil {
			return nil, fmt.Errorf("the checkpoint that was given is none: %w", err)
		}
	}
	v.format()
	// A recorder may be writing: what was signed is read first, then what it is of.
	sizes := v.checkpoints(verifier, o.Checkpoint)
	v.tiles = newTiles(r.Dir, v.report.Log.Size, sizes, func(path string, err error) {
		v.refused(err)
		if d := (differs{}); errors.As(err, &d) {
			v.differs(path, d)
		} else {
			v.add(Found{Code: CodeChanged, File: path, Detail: err.Error()})
		}
	})
	v.bodies(ctx)
	if v.denied != nil {
		return nil, v.denied
	}
	v.chains = newChains(v.recorder, v.chainFinding)
	err = r.lines(ctx, 0, func(l rawLine) error { return v.line(l) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		v.refused(err)
		v.add(Found{Code: CodeDamaged, File: filepath.Join(r.Dir, segmentsDir), Detail: err.Error()})
	}
	v.chains.finish(o.Now)
	v.finishLog()
	v.finishBodies(ctx)
	v.finishSources(o.Gateways)
	v.finishDiffering()
	if v.denied != nil {
		return nil, v.denied
	}
	v.report.OK = v.report.ProblemsTotal == 0
	return v.report, nil
}

// verification is one Verify under way.
type verification struct {
	dir      string
	now      time.Time
	most     int
	report   *Report
	recorder string // source of the recorder's own events
	tiles    *tiles
	runs     []run
	unlike   map[differs]*unlike
	chains   *chains
	broken   bool  // lines are missing: what follows has no place in the tree
	denied   error // of the first file that may not be read: no word about the record

	kept      *checkpoint.Checkpoint // that was given
	written   *checkpoint.Checkpoint // of the store
	there     map[[32]byte]struct{}  // bodies
	missing   []missingBody
	removals  removals
	lastIndex uint64
}

type missingBody struct {
	index   uint64
	session string
	time    time.Time
	sum     string
}

func (v *verification) add(f Found) {
	if f.Index != nil && f.File == "" {
		f.File, f.Line = v.place(*f.Index)
	}
	v.report.ProblemsTotal++
	if len(v.report.Problems) < v.most {
		v.report.Problems = append(v.report.Problems, f)
	}
}

// refused notes that an error is of a file that the caller may not read.
func (v *verification) refused(err error) {
	if v.denied == nil && errors.Is(err, fs.ErrPermission) {
		v.denied = err
	}
}

// verifier takes the key that was given, or else the store's own.
func (v *verification) verifier(given string) (note.Verifier, error) {
	path := filepath.Join(v.dir, VerifierFile)
	text, err := readSmall(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(v.dir, segmentsDir)); err != nil {
			return nil, fmt.Errorf("%s is no store of records", v.dir)
		}
	}
	own := strings.TrimSpace(string(text))
	if given == "" {
		given = own
	} else {
		v.report.Log.KeyGiven = true
		if own != given {
			v.add(Found{Code: CodeSignature, File: path, Detail: "the key in the store is not the one that was given"})
		}
	}
	verifier, err := note.NewVerifier(given)
	if err != nil && v.report.Log.KeyGiven {
		return nil, fmt.Errorf("the key %.80q: %w", given, err)
	}
	if err != nil {
		v.add(Found{Code: CodeSignature, File: path, Detail: "it holds no key"})
		return nil, nil //nolint:nilerr // told in the report, and the rest is looked at
	}
	v.report.Log.Origin = verifier.Name()
	name, ok := strings.CutPrefix(verifier.Name(), originPrefix)
	if !ok || ValidName(name) != nil {
		v.add(Found{Code: CodeSignature, File: path, Detail: "the key is not a recorder's"})
	}
	v.recorder = recorderSource + name
	return verifier, nil
}

func (v *verification) format() {
	path := filepath.Join(v.dir, "format")
	text, err := readSmall(path)
	if err != nil || string(text) != format {
		v.refused(err)
		v.add(Found{Code: CodeDamaged, File: path, Detail: fmt.Sprintf("want the line %q", strings.TrimSpace(format))})
	}
}

// checkpoints reads what was signed, and gives the sizes whose roots are asked for.
func (v *verification) checkpoints(verifier note.Verifier, kept []byte) (sizes []uint64) {
	path := filepath.Join(v.dir, logDir, "checkpoint")
	text, err := readSmall(path)
	if err == nil && verifier != nil {
		v.written, _, _, err = checkpoint.ParseCheckpoint(text, verifier.Name(), verifier)
	}
	switch {
	case err != nil:
		v.refused(err)
		v.add(Found{Code: CodeSignature, File: path, Detail: "no checkpoint of this recorder: " + err.Error()})
	case v.written != nil:
		v.report.Log.Size, v.report.Log.Checkpoint = v.written.Size, string(text)
		sizes = append(sizes, v.written.Size)
	}
	if kept != nil {
		v.report.Log.Kept = &KeptReport{}
		c, _, err := parseKept(kept, verifier)
		if err != nil {
			v.add(Found{Code: CodeSignature, Detail: "the checkpoint that was kept: " + err.Error()})
			return sizes
		}
		v.kept, v.report.Log.Kept.Size = c, c.Size
		sizes = append(sizes, c.Size)
	}
	return sizes
}

func parseKept(text []byte, verifier note.Verifier) (*checkpoint.Checkpoint, *note.Note, error) {
	if verifier == nil {
		return nil, nil, errors.New("there is no key to check it with")
	}
	c, _, n, err := checkpoint.ParseCheckpoint(text, verifier.Name(), verifier)
	return c, n, err
}

// line takes one line of the segments.
func (v *verification) line(l rawLine) error {
	v.lastIndex = l.index
	torn := errors.Is(l.err, ErrTorn)
	if l.err != nil {
		f := Found{Code: CodeDamaged, File: l.file, Line: l.n, Index: &l.index, Detail: errors.Unwrap(l.err).Error()}
		if torn {
			v.report.Torn = true
		} else {
			v.add(f)
		}
		if l.size == 0 { // no line at all
			v.broken = v.broken || !torn
			return nil
		}
	}
	v.put(l)
	v.report.Lines = l.index + 1
	if !v.broken {
		if err := v.tiles.add(l.digest[:]); err != nil {
			return err
		}
	}
	if l.err != nil {
		return nil //nolint:nilerr // told
	}
	e, err := parseLine(l.b)
	var opaque *OpaqueError
	switch {
	case errors.As(err, &opaque):
		v.report.Opaque++
		return nil
	case err != nil:
		v.add(Found{Code: CodeDamaged, File: l.file, Line: l.n, Index: &l.index, Detail: err.Error()})
		return nil //nolint:nilerr // told
	}
	v.report.Events++
	switch d := e.Data.(type) {
	case *event.Body:
		v.report.Bodies.Named++
		if sum, err := hex.DecodeString(d.SHA256); err == nil && len(sum) == 32 {
			if _, ok := v.there[[32]byte(sum)]; !ok {
				v.missing = append(v.missing, missingBody{l.index, d.SessionID, e.Time, d.SHA256})
			}
		}
	case *event.Removed:
		if e.Source == v.recorder && v.vouched(l.index, e.Time) {
			v.removals.add(l.index, d)
		}
	case *event.Alarm:
		v.report.Alarms++
	}
	v.chains.add(l.index, e, hex.EncodeToString(l.digest[:]), time.Time{})
	return nil
}

func (v *verification) chainFinding(f finding) {
	v.add(Found{Code: f.code, Index: &f.index, Source: f.source, Sequence: f.sequence, Detail: f.detail})
}
