package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/export"
	"github.com/sallyport/sallyport/recorder/index"
)

const formatLines = "jsonl"

func newSessionsExport() *cobra.Command {
	var from recordsFlags
	var format, out string
	var force bool
	var filter filterFlags
	c := &cobra.Command{
		Use:   "export [SESSION]",
		Short: "Write calls for other tools",
		Long: `Write calls for other tools: jsonl (the events of the record, line by line as they
are), ocsf (JSON lines, OCSF API Activity, for a SIEM), parquet (a row a call), or har
(HTTP Archive 1.2, of one session). What is written is masked as the record is.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := filter.query(time.Now())
			if err == nil && format != formatLines {
				_, err = export.ParseFormat(format)
			}
			if err == nil && format == string(export.HAR) && len(args) == 0 {
				err = errors.New("a HAR is of one session: say which (`sallyport sessions list` names them)")
			}
			if err == nil && format == string(export.Parquet) && out == "" && isTerminal(cmd.OutOrStdout()) {
				err = errors.New("parquet is binary, and standard output is a terminal: give -o FILE")
			}
			if err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			records, err := from.open()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if q.Session, err = whole(records, args[0]); err != nil {
					return err
				}
			}
			to, finish, err := exportTo(out, force, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			err = indexed(cmd.Context(), &from, records, cmd.ErrOrStderr(), func(x *index.Index) ([]recorder.Problem, error) {
				calls, err := x.Spans(cmd.Context(), q)
				if err != nil {
					return nil, err
				}
				if len(calls) == 0 && q.Session != "" {
					return nil, fmt.Errorf("session %s has no such calls", q.Session)
				}
				return exportCalls(cmd.Context(), records, calls, format, to)
			})
			if damage := damage(0); errors.As(err, &damage) {
				// What can be read is written: without it a record with one bad line
				// could not be given to anybody.
				return errors.Join(finish(nil), err)
			}
			return finish(err)
		},
	}
	from.add(c)
	filter.add(c, 0)
	c.Flags().StringVar(&format, "format", formatLines, "jsonl, ocsf, parquet or har")
	c.Flags().StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	c.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	return c
}

// exportTo is where an export goes: a file that appears once it is whole, or stdout.
func exportTo(path string, force bool, stdout io.Writer) (w io.Writer, finish func(error) error, err error) {
	if path == "" {
		return stdout, func(err error) error { return err }, nil
	}
	if st, err := os.Lstat(path); err == nil && st.IsDir() {
		return nil, nil, fmt.Errorf("%s is a directory: name a file in it", path)
	} else if err == nil && !force {
		return nil, nil, fmt.Errorf("%s is there already: choose another name, or give --force", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sallyport-export-*") // 0600: it is a record
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err // its path is one that nobody gave
	}
	if err != nil {
		return nil, nil, fmt.Errorf("write into the folder %s: %w", filepath.Dir(path), err)
	}
	return f, func(err error) error {
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
		return err
	}, nil
}

// exportCalls writes the chosen calls. It reads the log once, for a HAR twice, and holds
// those calls whose events have begun and not ended. What between their lines cannot be
// read is returned: the index may be older than the damage.
func exportCalls(ctx context.Context, records recorder.Records, chosen []index.Span, format string, to io.Writer) (problems []recorder.Problem, err error) {
	if len(chosen) == 0 && format == formatLines {
		return nil, nil
	}
	last := make(map[string]uint64, len(chosen)) // index of each call's last event
	from, until := uint64(0), uint64(0)
	for i, c := range chosen {
		last[c.ID] = c.To
		if i == 0 || c.From < from {
			from = c.From
		}
		until = max(until, c.To)
	}
	var lines *bufio.Writer
	var w export.Writer
	if format == formatLines {
		lines = bufio.NewWriter(to)
	} else {
		var bodies export.Bodies
		if format == string(export.HAR) {
			if bodies, err = bodiesOf(ctx, records, last, from, until); err != nil {
				return nil, err
			}
		}
		if w, err = export.New(export.Format(format), to, version, bodies); err != nil {
			return nil, err
		}
	}
	open := map[string]*recorder.Call{}
	err = records.Entries(ctx, from, func(e recorder.Entry) error {
		if e.Index > until || len(chosen) == 0 {
			return errDone
		}
		if p := (recorder.Problem{}); errors.As(e.Err, &p) && !errors.Is(e.Err, recorder.ErrTorn) {
			problems = append(problems, p)
			return nil
		}
		if e.Err != nil || !recorder.OfCall(e.Event.Kind()) {
			return nil //nolint:nilerr // the end is being written
		}
		end, ok := last[e.Event.Exchange()]
		if !ok {
			return nil
		}
		if lines != nil {
			_, err := lines.Write(e.Line)
			return errors.Join(err, lines.WriteByte('\n'))
		}
		c := open[e.Event.Exchange()]
		if c == nil {
			c = &recorder.Call{ID: e.Event.Exchange(), Session: e.Event.Session()}
			open[c.ID] = c
		}
		c.Add(e.Event)
		if e.Index < end {
			return nil
		}
		delete(open, c.ID)
		return w.Write(c)
	})
	if err != nil && !errors.Is(err, errDone) {
		return nil, err
	}
	if lines != nil {
		return problems, lines.Flush()
	}
	for _, id := range slices.Sorted(maps.Keys(open)) { // whose last line is damaged
		if err := w.Write(open[id]); err != nil {
			return nil, err
		}
	}
	return problems, w.Close()
}

var errDone = errors.New("all that was chosen is written")

// bodiesOf finds the bodies of calls, which the log names from one line until another:
// all at once, since that takes a look at every body there is. Those that retention let
// go are nil.
func bodiesOf(ctx context.Context, r recorder.Records, calls map[string]uint64, from, until uint64) (export.Bodies, error) {
	var sums []string
	err := r.Entries(ctx, from, func(e recorder.Entry) error {
		if e.Index > until {
			return errDone
		}
		if d, ok := e.Event.Data.(*event.Body); ok {
			if _, chosen := calls[e.Event.Exchange()]; chosen {
				sums = append(sums, d.SHA256)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDone) {
		return nil, err
	}
	get, err := r.Bodies(ctx, sums...)
	if err != nil {
		return nil, err
	}
	return func(sum string) ([]byte, error) {
		b, err := get(sum)
		if err != nil && !errors.Is(err, recorder.ErrGone) { // retention may have moved it since
			b, err = r.Body(ctx, sum)
		}
		if errors.Is(err, recorder.ErrGone) {
			return nil, nil
		}
		return b, err
	}, nil
}
