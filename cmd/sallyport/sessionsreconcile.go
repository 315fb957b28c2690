package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/reconcile"
)

func newSessionsReconcile() *cobra.Command {
	var from recordsFlags
	var asJSON bool
	var trail []string
	var o reconcile.Options
	c := &cobra.Command{
		Use:   "reconcile --cloudtrail FILE...",
		Short: "Hold CloudTrail's log against the record",
		Long: `Hold CloudTrail's log against the record. It lists what CloudTrail has of the targets'
roles that no record explains (a bypass: a credential that left the gateway, or a role
that somebody else can assume), where both disagree, and calls that CloudTrail lacks.
Exit code 1 if there is a bypass.

FILE is a log file as CloudTrail writes it (.json or .json.gz), the answer of
"aws cloudtrail lookup-events", events one a line, or a folder of such files. Data
events (objects of S3, items of DynamoDB, ...) are in CloudTrail only where a trail
asks for them: without --data they are not missed.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if trail = append(trail, args...); len(trail) == 0 {
				return &usageError{errors.New("say where CloudTrail's log is: --cloudtrail FILE"), cmd.CommandPath()}
			}
			for _, role := range o.Roles { // one that is misspelt has no bypass
				if err := config.CheckRoleARN(role); err != nil {
					return &usageError{fmt.Errorf("--role: %w", err), cmd.CommandPath()}
				}
			}
			records, err := from.open()
			if err != nil {
				return err
			}
			if len(o.Roles) == 0 && from.dir == "" {
				conf, err := config.Load(from.config)
				if err != nil {
					return err
				}
				for _, t := range conf.Targets {
					o.Roles = append(o.Roles, t.RoleARN)
				}
			}
			if len(o.Roles) == 0 {
				return &usageError{errors.New("no configuration says the targets: say which roles are only the gateway's with --role"), cmd.CommandPath()}
			}
			r, err := reconciled(cmd.Context(), records, trail, o, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				err = writeReport(cmd.OutOrStdout(), r)
			}
			if err == nil && len(r.Bypasses) > 0 {
				return fmt.Errorf("%d events of CloudTrail that no record explains", len(r.Bypasses))
			}
			return err
		},
	}
	from.add(c)
	c.Flags().StringArrayVar(&trail, "cloudtrail", nil, "file or folder of CloudTrail's log; may come more than once")
	c.Flags().StringArrayVar(&o.Roles, "role", nil, "ARN of a role that only the gateway may assume (default: the targets')")
	c.Flags().DurationVar(&o.Grace, "grace", 15*time.Minute, "how late CloudTrail may be: younger calls are not missed")
	c.Flags().BoolVar(&o.Data, "data", false, "the trail has data events: miss those too")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// reconciled reads both sides. Of CloudTrail it holds the events of the roles, of the
// record the calls in the time that those span.
func reconciled(ctx context.Context, records recorder.Records, paths []string, o reconcile.Options, stderr io.Writer) (*reconcile.Report, error) {
	files, err := trailFiles(paths)
	if err != nil {
		return nil, err
	}
	var events []reconcile.Trail
	others, damaged := 0, 0
	for _, path := range files {
		bad := func(err error) {
			if damaged++; damaged <= 10 {
				fmt.Fprintf(stderr, "%s: %s\n", terminal.Escape(path, 200), terminal.Escape(err.Error(), 300))
			}
		}
		if err := readTrail(path, func(t reconcile.Trail) {
			o.Span(t.EventTime)
			if reconcile.Ours(&t, o.Roles) {
				events = append(events, t)
			} else {
				others++
			}
		}, bad); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if damaged > 10 {
		fmt.Fprintf(stderr, "and %d more entries that are no events\n", damaged-10)
	}
	if damaged > 0 && o.From.IsZero() {
		return nil, errors.New("there is no event of CloudTrail's in these files")
	}
	const around = time.Hour // calls that began before their event, or whose clock was off
	var calls reconcile.Calls
	err = records.Entries(ctx, 0, func(e recorder.Entry) error {
		if e.Err == nil && !e.Event.Time.Before(o.From.Add(-around)) && !e.Event.Time.After(o.To.Add(around)) {
			calls.Add(e.Event)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := reconcile.Compare(events, &calls, o)
	r.Others, r.Damaged = r.Others+others, damaged
	return r, nil
}

func readTrail(path string, fn func(reconcile.Trail), bad func(error)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return reconcile.ReadTrail(f, fn, bad)
}

// trailFiles is the files of paths, folders with what is below them. CloudTrail's
// digest files are no logs.
func trailFiles(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			out = append(out, p)
			continue
		}
		err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name := strings.TrimSuffix(d.Name(), ".gz")
			if (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonl")) && !strings.Contains(path, "CloudTrail-Digest") {
				out = append(out, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no .json, .json.gz or .jsonl file in %s", strings.Join(paths, ", "))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func writeReport(w io.Writer, r *reconcile.Report) error {
	if r.Damaged > 0 { // which could be of anything
		fmt.Fprintf(w, "NOT READ: %d entries of these files are no events of CloudTrail's\n", r.Damaged)
	}
	if r.From.IsZero() {
		_, err := fmt.Fprintln(w, "these files have no event: nothing to compare")
		return err
	}
	safe := func(s string) string { return cmp.Or(terminal.Escape(s, 300), "-") }
	for _, role := range r.Unseen { // which is no news that it was not used
		fmt.Fprintf(w, "NO EVENT of the role %s: see that its name is right, and that these files are of its account\n", safe(role))
	}
	fmt.Fprintf(w, "CloudTrail from %s to %s: %d events of these roles, %d of others\n", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339),
		r.Explained+len(r.Bypasses)+len(r.Disagree), r.Others)
	fmt.Fprintf(w, "explained by the record: %d (%d of them by services on behalf of a call)\n", r.Explained, r.OnBehalf)
	for _, part := range []struct {
		title string
		list  []reconcile.Finding
	}{
		{"NOT EXPLAINED by any record", r.Bypasses}, {"record and CloudTrail disagree", r.Disagree}, {"on record, and not in CloudTrail", r.Missing},
	} {
		fmt.Fprintf(w, "%s: %d\n", part.title, len(part.list))
		for _, f := range part.list {
			if t := f.Trail; t != nil {
				fmt.Fprintf(w, "  %s  %s %s  by %s  key %s  from %s  event %s\n", t.EventTime.UTC().Format(time.RFC3339), safe(t.EventSource), safe(t.EventName),
					safe(cmp.Or(t.UserIdentity.ARN, t.RequestParameters.RoleARN)), safe(t.UserIdentity.AccessKeyID), safe(t.SourceIP), safe(t.EventID))
			}
			if c := f.Call; c != nil {
				fmt.Fprintf(w, "  request %s of session %s, %s: %s %s by %s\n", safe(c.ID), safe(c.Session), c.Time.UTC().Format(time.RFC3339), safe(c.EventSource), safe(c.EventName), safe(c.Who.Subject))
			}
			fmt.Fprintf(w, "    %s\n", f.Why)
		}
	}
	var err error
	if r.Unlogged > 0 {
		_, err = fmt.Fprintf(w, "not looked for: %d calls that CloudTrail logs as data events only (--data)\n", r.Unlogged)
	}
	return err
}
