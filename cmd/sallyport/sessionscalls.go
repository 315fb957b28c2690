package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/index"
)

// indexed opens the index and asks it; what of the log cannot be read is told on stderr:
// what the index knows of, and what ask found besides, which came since.
func indexed(ctx context.Context, from *recordsFlags, r recorder.Records, stderr io.Writer, ask func(*index.Index) ([]recorder.Problem, error)) error {
	x, err := from.index(ctx, r)
	if err != nil {
		return err
	}
	defer x.Close()
	found, err := ask(x)
	if err != nil {
		return err
	}
	problems, err := x.Problems(ctx)
	known := map[string]bool{}
	for _, p := range problems {
		known[p.Error()] = true
	}
	found = slices.DeleteFunc(found, func(p recorder.Problem) bool { return known[p.Error()] })
	return errors.Join(err, report(stderr, append(problems, found...)))
}

// listing is a command that asks the index under the filters, and writes what it says as
// a table or as JSON. It takes a SESSION where args allows one.
func listing[T any](c *cobra.Command, args cobra.PositionalArgs, limit int, ask func(context.Context, *index.Index, index.Query) (T, error), table func(io.Writer, T) error) *cobra.Command {
	var from recordsFlags
	var asJSON bool
	var filter filterFlags
	c.Args = args
	c.RunE = func(cmd *cobra.Command, args []string) error {
		records, err := from.open()
		if err != nil {
			return err
		}
		q, err := filter.query(time.Now())
		if err != nil {
			return &usageError{err, cmd.CommandPath()}
		}
		if len(args) == 1 {
			if q.Session, err = whole(records, args[0]); err != nil {
				return err
			}
		}
		return indexed(cmd.Context(), &from, records, cmd.ErrOrStderr(), func(x *index.Index) ([]recorder.Problem, error) {
			list, err := ask(cmd.Context(), x, q)
			if err != nil {
				return nil, err
			}
			if asJSON {
				return nil, json.NewEncoder(cmd.OutOrStdout()).Encode(list)
			}
			return nil, table(cmd.OutOrStdout(), list)
		})
	}
	from.add(c)
	filter.add(c, limit)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func newSessionsList() *cobra.Command {
	return listing(&cobra.Command{
		Use:   "list",
		Short: "List the recorded sessions, the latest first",
		Long: `List the recorded sessions, the latest first. "none" stands for what was refused
before an identity was known. With a filter, those that have such a call; the
numbers are of the whole session all the same.`,
	}, cobra.NoArgs, 0, func(ctx context.Context, x *index.Index, q index.Query) ([]recorder.Summary, error) {
		return x.Sessions(ctx, q)
	}, recorder.WriteSummaries)
}

func newSessionsCalls() *cobra.Command {
	return listing(&cobra.Command{
		Use:   "calls [SESSION]",
		Short: "List calls, the latest first",
		Long: `List calls, the latest first: of one session, or of all. RESULT is ok or error (what
AWS answered), denied (by policy), rejected (by people), pending (people were asked
and had not answered), refused (before policy was asked), aborted, or open (no end is
on record).`,
	}, cobra.MaximumNArgs(1), 100, func(ctx context.Context, x *index.Index, q index.Query) ([]index.Call, error) {
		return x.Calls(ctx, q)
	}, writeCalls)
}

func writeCalls(w io.Writer, list []index.Call) error {
	const width = 120 // of one text, in runes
	safe := func(s string) string { return cmp.Or(terminal.Escape(s, width), "-") }
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tREQUEST\tWHO\tTARGET\tCALL\tON\tRESULT\tRISK\tMASKED\tAPPROVED BY")
	for _, c := range list {
		call, result, risk := "-", string(c.Result), "-"
		if c.Operation != "" {
			call = c.Service + ":" + c.Operation
		}
		switch {
		case c.Error == result: // said already
		case c.Error != "":
			result += " " + c.Error
		case c.Status != 0:
			result += " " + strconv.Itoa(c.Status)
		}
		if c.Risk >= 0 {
			risk = strconv.Itoa(c.Risk)
		}
		on := c.Resource
		if c.Resources > 1 {
			on += fmt.Sprintf(" and %d more", c.Resources-1)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.Time.Format("2006-01-02 15:04:05Z"), c.ID, safe(c.User.Subject), safe(c.Target), safe(call), safe(on), safe(result), risk, c.Masked, safe(c.Approvers))
	}
	return t.Flush()
}

func newSessionsReindex() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "reindex",
		Short: "Make the index of the record anew",
		Long: `Make the index of the record anew from the log. It is brought up to date by itself
whenever it is used, and holds nothing that the log does not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			records, err := openRecords(path)
			if err != nil {
				return err
			}
			if err := index.Remove(records); err != nil {
				return err
			}
			return indexed(cmd.Context(), &recordsFlags{}, records, cmd.ErrOrStderr(), func(*index.Index) ([]recorder.Problem, error) { return nil, nil })
		},
	}
	configFlag(c, &path)
	return c
}
