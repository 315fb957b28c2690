package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/index"
)

// filterFlags choose calls, and sessions by their calls.
type filterFlags struct {
	since, until, result string
	q                    index.Query
}

func (f *filterFlags) add(c *cobra.Command, limit int) {
	names := make([]string, len(recorder.Results))
	for i, r := range recorder.Results {
		names[i] = string(r)
	}
	c.Flags().StringVar(&f.since, "since", "", "from then on: how long ago (2h, 7d), or when (2026-03-01, 2026-03-01T12:00:00Z)")
	c.Flags().StringVar(&f.until, "until", "", "before then, in the same forms")
	c.Flags().StringVar(&f.q.Subject, "subject", "", "who called, * for any text")
	c.Flags().StringVar(&f.q.Label, "label", "", "label of the session, * for any text")
	c.Flags().StringVar(&f.q.Target, "target", "", "target, * for any text")
	c.Flags().StringVar(&f.q.Account, "account", "", "AWS account")
	c.Flags().StringVar(&f.q.Action, "action", "", "IAM action, * for any text: ec2:Terminate*")
	c.Flags().StringVar(&f.q.Resource, "resource", "", "ARN of a resource, * for any text")
	c.Flags().StringVar(&f.result, "result", "", "comma-separated: "+strings.Join(names, ", "))
	c.Flags().IntVar(&f.q.Limit, "limit", limit, "at most so many, the latest; 0 is all")
}

// query reads the flags; a time is counted back from now.
func (f *filterFlags) query(now time.Time) (index.Query, error) {
	q := f.q
	var err error
	if q.Since, err = parseWhen(f.since, now); err != nil {
		return q, fmt.Errorf("--since: %w", err)
	}
	if q.Until, err = parseWhen(f.until, now); err != nil {
		return q, fmt.Errorf("--until: %w", err)
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, fmt.Errorf("--since %s is not before --until %s: nothing lies between", f.since, f.until)
	}
	if q.Limit < 0 {
		return q, fmt.Errorf("--limit %d: use a number from 1 on, or 0 for all", q.Limit)
	}
	if f.result != "" {
		for r := range strings.SplitSeq(f.result, ",") {
			r := recorder.Result(strings.TrimSpace(r))
			if !slices.Contains(recorder.Results, r) {
				return q, fmt.Errorf("--result %.20q: use %v", string(r), recorder.Results)
			}
			q.Results = append(q.Results, r)
		}
	}
	return q, nil
}

// parseWhen reads a time, or how long ago it was; "" is the zero time.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	text, days := s, time.Duration(0)
	if head, tail, ok := strings.Cut(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(head+"\n", "%d\n", &n); err != nil || n < 0 || n > 36500 {
			return time.Time{}, badWhen(s)
		}
		days, text = time.Duration(n)*24*time.Hour, tail
		if text == "" {
			return now.Add(-days), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, badWhen(s)
	}
	return now.Add(-d - days), nil
}

func badWhen(s string) error {
	return fmt.Errorf("%.40q is no time: say how long ago (90m, 2h, 7d), or when (2026-03-01, 2026-03-01T12:00:00Z)", s)
}

// whole completes a session's id; "" stays.
func whole(r recorder.Records, id string) (string, error) {
	if id == "" || id == event.NoSession || event.ValidID(id) {
		return id, nil
	}
	return r.Find(id)
}
