package recorder

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// Report is what Verify found.
type Report struct {
	OK            bool           `json:"ok"` // nothing is wrong; read what is not proved, too
	Lines         uint64         `json:"lines"`
	Events        uint64         `json:"events"`
	Opaque        uint64         `json:"opaque"` // messages that are no events of this version
	Alarms        uint64         `json:"alarms"` // that the recorder wrote itself
	Torn          bool           `json:"torn"`   // the end is incomplete: written now, or by a crash
	Log           LogReport      `json:"log"`
	Sources       []SourceReport `json:"sources"`
	Bodies        BodiesReport   `json:"bodies"`
	Problems      []Found        `json:"problems"` // in the order in which they were found
	ProblemsTotal int            `json:"problemsTotal"`
}

// LogReport is about the Merkle log.
type LogReport struct {
	Origin     string      `json:"origin,omitempty"` // who signs
	KeyGiven   bool        `json:"keyGiven"`         // the key came from elsewhere
	Size       uint64      `json:"size"`             // lines that the checkpoint covers
	Root       []byte      `json:"root,omitempty"`   // of the lines, equal to the signed one; empty where it is not
	Unsigned   uint64      `json:"unsigned"`         // lines behind the checkpoint
	Checkpoint string      `json:"checkpoint,omitempty"`
	Kept       *KeptReport `json:"kept,omitempty"`
}

// KeptReport is about the checkpoint that was kept elsewhere.
type KeptReport struct {
	Size       uint64 `json:"size"`
	Consistent bool   `json:"consistent"` // the record begins with the lines that it covers
}

// SourceReport is about one gateway's events.
type SourceReport struct {
	Source      string `json:"source"`
	First       uint64 `json:"first"` // sequence; more than 1: the recorder came later
	Last        uint64 `json:"last"`
	Events      uint64 `json:"events"`
	Duplicates  uint64 `json:"duplicates"`
	Missing     uint64 `json:"missing"`
	Open        uint64 `json:"open"`      // missing for less than a minute: they may be under way; verify again then
	Unchained   uint64 `json:"unchained"` // events without a place in a chain: only this recorder vouches for them
	Checkpoints uint64 `json:"checkpoints"`
	SignedUpTo  uint64 `json:"signedUpTo"`
	Unsigned    uint64 `json:"unsigned"` // events behind the last checkpoint
}

// BodiesReport is about payloads.
type BodiesReport struct {
	Named   uint64 `json:"named"`   // by events
	There   int    `json:"there"`   // payloads, each once
	Bytes   int64  `json:"bytes"`   // of them
	Stored  int64  `json:"stored"`  // on disk
	Removed uint64 `json:"removed"` // named, and let go by a removal that is on record
}

// Found is one thing that is wrong.
type Found struct {
	Code     string  `json:"code"`
	File     string  `json:"file,omitempty"`
	Line     int     `json:"line,omitempty"`  // from 1
	Index    *uint64 `json:"index,omitempty"` // of the entry
	Source   string  `json:"source,omitempty"`
	Sequence uint64  `json:"sequence,omitempty"`
	Detail   string  `json:"detail"`
}

// String says where, and what.
func (f Found) String() string {
	where := ""
	if f.File != "" {
		where = f.File
		if f.Line > 0 {
			where += fmt.Sprintf(":%d", f.Line)
		}
		where += ": "
	}
	if f.Index != nil {
		where += fmt.Sprintf("entry %d: ", *f.Index)
	}
	if f.Source != "" {
		where += f.Source
		if f.Sequence > 0 {
			where += fmt.Sprintf(" event %d", f.Sequence)
		}
		where += ": "
	}
	return where + f.Code + ": " + f.Detail
}

// First is the bad entry that comes first in the record; what is about no entry comes
// behind. ok is false where nothing is wrong.
func (r *Report) First() (f Found, ok bool) {
	for _, p := range r.Problems {
		if !ok || p.Index != nil && (f.Index == nil || *p.Index < *f.Index) {
			f, ok = p, true
		}
	}
	return f, ok
}

// WriteReport tells a report to a human.
func WriteReport(w io.Writer, r *Report) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "lines       %d: %d events, %d messages that are no events, %d alarms\n", r.Lines, r.Events, r.Opaque, r.Alarms)
	fmt.Fprintf(out, "log         %s signs %d lines, %d behind are not signed yet\n", cmp.Or(safe(r.Log.Origin), "(nobody)"), r.Log.Size, r.Log.Unsigned)
	if len(r.Log.Root) > 0 {
		fmt.Fprintf(out, "root        %x, computed from the lines, is the signed one\n", r.Log.Root)
	}
	if !r.Log.KeyGiven {
		fmt.Fprintf(out, "key         from the store itself: give --key with a copy from elsewhere\n")
	}
	switch k := r.Log.Kept; {
	case k == nil:
		fmt.Fprintf(out, "kept        no checkpoint was given: an older state put back would not be seen\n")
	case k.Consistent:
		fmt.Fprintf(out, "kept        the record begins with the %d lines that the kept checkpoint covers\n", k.Size)
	default:
		fmt.Fprintf(out, "kept        the record does NOT agree with the kept checkpoint\n")
	}
	fmt.Fprintf(out, "bodies      %d named, %d there (%d bytes, %d on disk), %d let go by removals on record\n",
		r.Bodies.Named, r.Bodies.There, r.Bodies.Bytes, r.Bodies.Stored, r.Bodies.Removed)
	if r.Torn {
		fmt.Fprintf(out, "end         incomplete: being written, or torn by a crash; it was not acknowledged\n")
	}
	if len(r.Sources) > 0 {
		fmt.Fprintln(out)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "GATEWAY\tEVENTS\tFIRST\tLAST\tMISSING\tTWICE\tSIGNED UP TO\tUNSIGNED\tWITHOUT A PLACE")
		for _, s := range r.Sources {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", safe(s.Source), s.Events+s.Unchained, s.First, s.Last, s.Missing, s.Duplicates, s.SignedUpTo, s.Unsigned, s.Unchained)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, s := range r.Sources {
		if s.Open > 0 {
			fmt.Fprintf(out, "under way   %d events of %s from the last minute may still come: verify again\n", s.Open, safe(s.Source))
		}
	}
	fmt.Fprintln(out)
	if first, bad := r.First(); bad {
		fmt.Fprintf(out, "BROKEN: %d problems; the first bad record: %s\n", r.ProblemsTotal, safe(first.String()))
		for _, p := range r.Problems {
			fmt.Fprintf(out, "  %s\n", safe(p.String()))
		}
		if more := r.ProblemsTotal - len(r.Problems); more > 0 {
			fmt.Fprintf(out, "  ... and %d more\n", more)
		}
	} else {
		fmt.Fprintln(out, "whole: every line is in its place, and is what was signed")
	}
	return out.Flush()
}
