package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/index"
)

func newSessions() *cobra.Command {
	return group("sessions", "What agents did: the record", newSessionsList(), newSessionsCalls(), newSessionsShow(), newSessionsTail(), newSessionsVerify(),
		newSessionsExport(), newSessionsReconcile(), newSessionsReindex(), newSessionsHold(), newSessionsRelease(), newSessionsForget())
}

func openRecords(path string) (recorder.Records, error) {
	conf, err := config.Load(path)
	if err != nil {
		return recorder.Records{}, err
	}
	return recorder.Records{Dir: server.RecordsDir(conf)}, nil
}

// recordsFlags say which record is asked.
type recordsFlags struct{ config, dir string }

func (f *recordsFlags) add(c *cobra.Command) {
	configFlag(c, &f.config)
	c.Flags().StringVar(&f.dir, "records", "", "a recorder's folder, as a copy of one (default: that of --config)")
}

func (f *recordsFlags) open() (recorder.Records, error) {
	if f.dir == "" {
		return openRecords(f.config)
	}
	st, err := os.Stat(filepath.Join(f.dir, "segments"))
	if errors.Is(err, fs.ErrPermission) {
		return recorder.Records{}, err
	}
	if err != nil || !st.IsDir() {
		return recorder.Records{}, fmt.Errorf("%s is no store of records", f.dir)
	}
	return recorder.Records{Dir: f.dir}, nil
}

// index opens the store's own index, or makes one of a store that may be anybody's.
func (f *recordsFlags) index(ctx context.Context, r recorder.Records) (*index.Index, error) {
	if f.dir == "" {
		return index.Open(ctx, r)
	}
	return index.Foreign(ctx, r)
}

// damage is the error of a command that did its work, as far as the record can be read:
// in so many places it cannot.
type damage int

func (d damage) Error() string { return fmt.Sprintf("%d damaged places in the record", int(d)) }

const reported = 20 // damaged places that are told one by one

// report prints what in the record could not be read; it is an error to have any. The
// texts are the record's, so anybody's.
func report(w io.Writer, problems []recorder.Problem) error {
	for i, p := range problems {
		if i == reported {
			fmt.Fprintf(w, "and %d more: `sallyport sessions verify` names them\n", len(problems)-i)
			break
		}
		fmt.Fprintf(w, "damaged: %s\n", terminal.Escape(p.Error(), 512))
	}
	if len(problems) > 0 {
		return damage(len(problems))
	}
	return nil
}

func newSessionsShow() *cobra.Command {
	var from recordsFlags
	var asJSON, bodies bool
	c := &cobra.Command{
		Use:   "show [SESSION|REQUEST]",
		Short: "Tell the story of a session (default: the newest), or of one request",
		Long: `Tell the story of a session: every request, what was asked and decided, by which rule,
the credential it got, the answer, and what was masked. SESSION is an id or the
unique beginning of one; "none" holds refusals of callers without an identity.
REQUEST is a request's id, as agents get it with a refusal and "sessions calls" lists it,
or the unique beginning of one: its part of the story. A session's id comes first.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := from.open()
			if err != nil {
				return err
			}
			id := ""
			if len(args) == 1 {
				id = args[0]
			} else if id, err = newest(records); err != nil {
				return err
			}
			tell := func(s *recorder.Session) error {
				switch {
				case asJSON:
					return writeEvents(cmd.OutOrStdout(), s.Events)
				case bodies:
					return showBodies(cmd, records, s)
				}
				return recorder.WriteStory(cmd.OutOrStdout(), s)
			}
			s, err := records.Read(id)
			if errors.Is(err, recorder.ErrNoSession) || err == nil && len(s.Events) == 0 {
				return showCall(cmd, &from, records, id, s, tell)
			}
			if err != nil {
				return err
			}
			return errors.Join(tell(s), report(cmd.ErrOrStderr(), s.Problems))
		},
	}
	from.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "the events as JSON lines")
	c.Flags().BoolVar(&bodies, "bodies", false, "with all parameters and the beginning of each recorded body")
	return c
}

// showCall tells the part of one call. Where the id is of none either, and damage may be
// why, that is all there is to tell of a session: s is not nil then.
func showCall(cmd *cobra.Command, from *recordsFlags, records recorder.Records, id string, s *recorder.Session, tell func(*recorder.Session) error) error {
	return indexed(cmd.Context(), from, records, cmd.ErrOrStderr(), func(x *index.Index) ([]recorder.Problem, error) {
		calls, err := x.Beginning(cmd.Context(), id, 2)
		switch {
		case err != nil:
			return nil, err
		case len(calls) > 1:
			return nil, fmt.Errorf("no session begins with %.40q, and several requests do: give more of the id", id)
		case len(calls) == 1:
			if s, err = records.ReadCall(cmd.Context(), calls[0].ID, calls[0].From, calls[0].To); err != nil {
				return nil, err
			}
		case s == nil:
			return nil, fmt.Errorf("no session begins with %.40q, and no request: `sallyport sessions list` and `sallyport sessions calls` name them", id)
		}
		return s.Problems, tell(s)
	})
}

func showBodies(cmd *cobra.Command, records recorder.Records, s *recorder.Session) error {
	var sums []string
	for _, e := range s.Events {
		if d, ok := e.Data.(*event.Body); ok {
			sums = append(sums, d.SHA256)
		}
	}
	get, err := records.Bodies(cmd.Context(), sums...)
	if err != nil {
		return err
	}
	return recorder.WriteStoryBodies(cmd.OutOrStdout(), s, get)
}

func newest(r recorder.Records) (string, error) {
	list, _, err := r.List()
	if err != nil {
		return "", err
	}
	list = slices.DeleteFunc(list, func(s recorder.Summary) bool { return !event.ValidID(s.Session) })
	if len(list) == 0 {
		return "", errors.New("no session has been recorded")
	}
	return slices.MaxFunc(list, func(a, b recorder.Summary) int { return a.Last.Compare(b.Last) }).Session, nil
}

func writeEvents(w io.Writer, events []event.Event) error {
	for _, e := range events {
		line, err := event.Encode(e)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func newSessionsTail() *cobra.Command {
	var nats natsFlags
	var asJSON bool
	var filter recorder.Filter
	c := &cobra.Command{
		Use:   "tail [SESSION]",
		Short: "Follow events as they happen",
		Long: `Follow events as they happen, over NATS, until Ctrl-C; all, or those of one session
(a whole id, or "none"). With the embedded server the address and the operator's
credentials are found under state_dir; otherwise give --nats and --creds.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				filter.Session = args[0]
			}
			if err := recorder.ValidSession(filter.Session); err != nil && filter.Session != "" {
				return &usageError{fmt.Errorf("%w: give a whole id, which `sallyport sessions list` has, or \"none\"", err), cmd.CommandPath()}
			}
			conn, prefix, _, err := nats.connect(cmd, bus.Operator)
			if err != nil {
				return err
			}
			defer conn.Close()
			err = recorder.Tail(cmd.Context(), conn, prefix, filter, func(e event.Event) error {
				if asJSON {
					return writeEvents(cmd.OutOrStdout(), []event.Event{e})
				}
				return recorder.WriteLine(cmd.OutOrStdout(), e)
			}, func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "damaged: %v\n", err) })
			if cmd.Context().Err() != nil { // Ctrl-C is how one stops looking
				return nil
			}
			return err
		},
	}
	nats.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "the events as JSON lines")
	return c
}
