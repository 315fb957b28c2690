package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/recorder"
)

// asked is what hold, release and forget put down: which session, who, why.
func asked(records recorder.Records, session, reason string) (recorder.Hold, error) {
	if strings.TrimSpace(reason) == "" {
		return recorder.Hold{}, errors.New("say why with --reason: it is put on record")
	}
	if !event.ValidID(session) {
		var err error
		if session, err = records.Find(session); err != nil {
			return recorder.Hold{}, err
		}
	}
	h := recorder.Hold{Session: session, Reason: reason, At: time.Now().UTC()}
	if u, err := user.Current(); err == nil {
		h.By = u.Username
	}
	h.By = cmp.Or(h.By, "unknown")
	return h, nil
}

func newSessionsHold() *cobra.Command {
	var path, reason string
	var asJSON bool
	c := &cobra.Command{
		Use:   "hold [SESSION]",
		Short: "Keep the bodies of a session whatever retention says (legal hold)",
		Long: `Keep the bodies of a session whatever retention says, until "sessions release". Without
a session: list what is held. Who asked and why is put on record by the recorder: within
seconds, or at its next start.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := openRecords(path)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listHolds(cmd, records, asJSON)
			}
			h, err := asked(records, args[0], reason)
			if err != nil {
				return err
			}
			if err := records.Hold(h); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "session %s is held\n", h.Session)
			return err
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&reason, "reason", "", "why; it is needed, and put on record")
	c.Flags().BoolVar(&asJSON, "json", false, "list as JSON")
	return c
}

func listHolds(cmd *cobra.Command, records recorder.Records, asJSON bool) error {
	held, _, err := records.Holds()
	if err != nil {
		return err
	}
	if asJSON {
		if held == nil {
			held = []recorder.Hold{}
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(held)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tSINCE\tBY\tREASON")
	for _, h := range held {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", h.Session, h.At.UTC().Format(time.DateTime+"Z"), terminal.Escape(h.By, 64), terminal.Escape(h.Reason, 200))
	}
	return t.Flush()
}

func newSessionsRelease() *cobra.Command {
	var path, reason string
	c := &cobra.Command{
		Use:   "release SESSION",
		Short: "End a legal hold",
		Long: `End a legal hold: from now on retention lets the bodies of the session go like any other's.
Who asked and why is put on record, like the hold itself.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := openRecords(path)
			if err != nil {
				return err
			}
			h, err := asked(records, args[0], reason)
			if err != nil {
				return err
			}
			if err := records.Release(h); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "session %s is no longer held\n", h.Session)
			return err
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&reason, "reason", "", "why; it is needed, and put on record")
	return c
}

func newSessionsForget() *cobra.Command {
	var path, reason string
	c := &cobra.Command{
		Use:   "forget SESSION",
		Short: "Let the bodies of a session go",
		Long: `Let the bodies of a session go, for good. What was recorded of them otherwise stays
(the calls, who, when, the digests), that they were removed is put on record with who
asked and why, and the record verifies as before. Bodies that another session has, too,
stay until that one is forgotten as well. A running recorder does it within seconds; otherwise it is done here.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			records := recorder.Records{Dir: server.RecordsDir(conf)}
			h, err := asked(records, args[0], reason)
			if err != nil {
				return err
			}
			if err := records.Forget(h); err != nil {
				return err
			}
			store, err := recorder.OpenStore(server.StoreOptions(conf))
			if errors.Is(err, recorder.ErrBusy) {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "the recorder that is running forgets session %s\n", h.Session)
				return err
			}
			if err != nil {
				return err
			}
			if err := errors.Join(store.Keep(recorder.Retention{}), store.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the bodies of session %s are gone\n", h.Session)
			return err
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&reason, "reason", "", "why; it is needed, and put on record")
	return c
}
