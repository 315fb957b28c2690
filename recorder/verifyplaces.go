package recorder

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
)

// run is entries that are one behind the other in a segment.
type run struct {
	index, count uint64
	line         int // of the first, from 1
	file         string
}

// put notes where an entry is.
func (v *verification) put(l rawLine) {
	if n := len(v.runs); n > 0 {
		if r := &v.runs[n-1]; r.file == l.file && r.index+r.count == l.index && r.line+int(r.count) == l.n {
			r.count++
			return
		}
	}
	v.runs = append(v.runs, run{l.index, 1, l.n, l.file})
}

// place gives the segment and line of an entry; "" where it is not here.
func (v *verification) place(index uint64) (file string, line int) {
	i, found := slices.BinarySearchFunc(v.runs, index, func(r run, index uint64) int { return cmp.Compare(r.index, index) })
	if !found {
		i--
	}
	if i < 0 || index-v.runs[i].index >= v.runs[i].count {
		return "", 0
	}
	return v.runs[i].file, v.runs[i].line + int(index-v.runs[i].index)
}

// unlike is files of the log that have another entry, or hash, than the record. Each time
// that the log grows it leaves a file behind, so that one entry is in hundreds.
type unlike struct {
	problem int    // in the report; -1: it has enough
	first   string // file
	more    int
}

// differs takes one more file of the log; what is said of an entry is said once.
func (v *verification) differs(path string, d differs) {
	if a := v.unlike[d]; a != nil {
		a.more++
		return
	}
	if v.unlike == nil {
		v.unlike = map[differs]*unlike{}
	}
	a := &unlike{problem: -1, first: path}
	v.unlike[d] = a
	f := Found{Code: CodeChanged, Detail: d.Error()}
	if d.level == 0 {
		f.Index = &d.entry
	} else {
		f.File = path
	}
	if v.add(f); v.report.ProblemsTotal == len(v.report.Problems) {
		a.problem = len(v.report.Problems) - 1
	}
}

// finishDiffering says which files of the log have what the record has not.
func (v *verification) finishDiffering() {
	for d, a := range v.unlike {
		if a.problem < 0 {
			continue
		}
		detail := &v.report.Problems[a.problem].Detail
		switch name, err := filepath.Rel(v.dir, a.first); {
		case err != nil || d.level > 0 && a.more == 0:
		case d.level > 0:
			*detail += fmt.Sprintf(" (and %d more files of the log)", a.more)
		case a.more > 0:
			*detail += fmt.Sprintf(" (%s, and %d more files of the log)", filepath.ToSlash(name), a.more)
		default:
			*detail += fmt.Sprintf(" (%s)", filepath.ToSlash(name))
		}
	}
}
