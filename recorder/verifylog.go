package recorder

import (
	"bytes"
	"fmt"
	"path/filepath"

	checkpoint "github.com/transparency-dev/formats/log"
)

// finishLog holds the lines against what was signed.
func (v *verification) finishLog() {
	v.tiles.finish()
	lines := v.tiles.tree.End()
	hold := func(what string, c *checkpoint.Checkpoint, file string) bool {
		f := Found{Code: CodeChanged, File: file}
		switch root := v.tiles.roots[c.Size]; {
		case c.Size > lines && v.broken:
			f.Detail = fmt.Sprintf("%s covers %d lines, of which only the first %d can be checked, since lines are missing behind them", what, c.Size, lines)
		case c.Size > lines:
			f.Detail = fmt.Sprintf("%s covers %d lines, and %d are here: the rest was removed", what, c.Size, lines)
			f.Index = &lines
		case !bytes.Equal(root, c.Hash):
			f.Detail = fmt.Sprintf("%s was signed over other lines than the first %d that are here", what, c.Size)
		default:
			return true
		}
		v.add(f)
		return false
	}
	if v.written != nil {
		if hold("the checkpoint", v.written, filepath.Join(v.dir, logDir, "checkpoint")) {
			v.report.Log.Root = v.written.Hash
		}
		if v.report.Lines > v.written.Size {
			v.report.Log.Unsigned = v.report.Lines - v.written.Size
		}
	}
	if v.kept != nil {
		v.report.Log.Kept.Consistent = hold("the checkpoint that was kept", v.kept, "")
	}
}

func (v *verification) finishSources(gateways []string) {
	expected := map[string]bool{}
	for _, g := range gateways {
		expected[g] = false
	}
	for _, s := range v.chains.sources() {
		out := SourceReport{Source: s, Unchained: v.chains.unchained[s]}
		if c := v.chains.by[s]; c != nil {
			out.First, out.Last, out.Events, out.Duplicates, out.Missing, out.Open = c.first, c.next-1, c.seen, c.duplicates, c.gaps, c.open
			out.SignedUpTo, out.Checkpoints = c.signed, c.signatures
			out.Unsigned = c.next - 1 - c.signed
			if c.signer > c.signed { // the checkpoint itself needs none
				out.Unsigned--
			}
		}
		v.report.Sources = append(v.report.Sources, out)
		if _, ok := expected[s]; !ok && len(gateways) > 0 {
			v.add(Found{Code: CodeSource, Source: s, Detail: "events of a gateway that was not named"})
		}
		expected[s] = true
	}
	for _, g := range gateways {
		if !expected[g] {
			v.add(Found{Code: CodeSource, Source: g, Detail: "no events of this gateway"})
		}
	}
}
