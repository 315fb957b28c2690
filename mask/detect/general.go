package detect

// leads is where the end of t begins that may belong to a secret whose keyword is
// still to come.
func (r *rule) leads(t []byte) int {
	if r.back != nil {
		return r.back(t)
	}
	from, least := len(t), max(0, len(t)-r.lead-32)
	for from > least && (isURL64(t[from-1]) || t[from-1] == '.' || t[from-1] == '~' || t[from-1] == ':' || t[from-1] == '@') {
		from--
	}
	if from == len(t) {
		return from
	}
	if loc := r.anyTail().FindIndex(t[from:]); loc != nil {
		return from + loc[0]
	}
	return len(t)
}

// general finds the matches of a rule without keywords in t[from:], one after the
// other as regexp.FindAll does, and returns from where to go on. t[from-1] is looked
// at for a word's boundary.
func (r *rule) general(t []byte, from int, final bool, f *found) (next int) {
	for from < len(t) {
		var loc []int
		at := from
		if from == 0 {
			loc = r.first().FindSubmatchIndex(t)
		} else {
			at--
			loc = r.search().FindSubmatchIndex(t[at:])
		}
		if loc == nil || !final && r.mayBegin(t, from) <= at+loc[2] {
			break
		}
		start, end, v := r.accept(t, at, loc[2:], final)
		if v == more {
			f.hold = min(f.hold, at+loc[2])
			return at + loc[2]
		}
		if v == yes {
			f.spans = append(f.spans, Span{start, end, r.name})
		}
		from = at + loc[3]
	}
	if final {
		return len(t)
	}
	from = r.mayBegin(t, from)
	f.hold = min(f.hold, from)
	return from
}

// mayBegin is where in t[from:] the first match begins that may end in text to come.
func (r *rule) mayBegin(t []byte, from int) int {
	t = whole(t)
	from = min(len(t), max(from, len(t)-r.max-1))
	front := max(0, from-1)
	if loc := r.anyTail().FindIndex(t[front:]); loc != nil {
		return max(from, front+loc[0])
	}
	return len(t)
}
