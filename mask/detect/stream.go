package detect

import "slices"

// Window is how many bytes a Stream holds at most while it waits to see whether they
// are a secret: with its copies it takes a few times as much memory, whatever the
// stream's length. No detector needs more than half of it, but a private key does; a
// longer key is masked without being held.
const Window = 64 << 10

// context is what a Stream keeps of what it gave out: detectors look back.
const context = nearby + 32

// rescan is how much may be undecided before a Stream waits for more than a byte
// until it looks again, so that long secrets in short writes cost little.
const rescan = 4 << 10

// Stream masks a text that comes in pieces. However the text is cut, what comes out
// is the text with its spans (Scanner.Find without a label) replaced, if no secret
// and no run of overlapping ones is longer than Window. It does not look into
// encodings other than those that single detectors know. It is for one goroutine.
type Stream struct {
	s    *Scanner
	repl func(rule string, secret []byte) []byte
	keep bool

	buf    []byte
	done   int    // buf[:done] was given out
	resume int    // keywords before it are decided
	next   []int  // by general rule: where it goes on
	spans  []Span // decided and not yet given out
	seen   int    // the buffer's length at the last look

	dropping *rule // in a private key longer than Window
	out      []byte
	hits     map[string]int
}

// NewStream makes a Stream that puts repl's result in the place of secrets. With
// keepLength that is cut to the secret's length or filled up with asterisks, so
// that the stream's length stays.
func (s *Scanner) NewStream(repl func(rule string, secret []byte) []byte, keepLength bool) *Stream {
	return &Stream{s: s, repl: repl, keep: keepLength, next: make([]int, len(s.general)), hits: map[string]int{}}
}

// Write takes the next piece and returns what is now certain: all but what may be the
// beginning of a secret. The result is valid until the next call.
func (st *Stream) Write(p []byte) (out []byte) {
	st.out = st.out[:0]
	// In steps, so that one large piece is not held as a whole.
	for len(p) > 0 {
		n := min(len(p), Window/2)
		st.buf = append(st.buf, p[:n]...)
		p = p[n:]
		st.look(false)
	}
	return st.out
}

// Close returns what was kept back, masked. Nothing may be written afterwards.
func (st *Stream) Close() (out []byte) {
	st.out = st.out[:0]
	st.look(true)
	return st.out
}

// Hits are the secrets replaced so far.
func (st *Stream) Hits() []Hit {
	return sorted(st.hits)
}

func (st *Stream) look(final bool) {
	if st.dropping != nil && !st.drop(final) {
		return
	}
	held := len(st.buf) - st.done
	if !final && held > rescan && held < Window && len(st.buf)-st.seen < held/16 {
		return
	}
	f := found{spans: st.spans, hold: len(st.buf), resume: len(st.buf), opened: -1}
	st.s.scan(st.buf, st.resume, final, &f)
	for i, r := range st.s.general {
		st.next[i] = r.general(st.buf, st.next[i], final, &f)
	}
	f.hold = max(f.hold, st.done)
	merged := merge(slices.Clone(f.spans))
	if !final && f.opened >= 0 && len(st.buf)-f.opened > Window {
		st.begin(merged, &f)
		return
	}
	for i := len(merged) - 1; i >= 0; i-- {
		s := &merged[i]
		if s.Start >= f.hold || s.End <= f.hold {
			continue
		}
		if len(st.buf)-s.Start > Window {
			// A chain of overlapping secrets that does not end: in two parts.
			f.spans = append(f.spans, Span{f.hold, s.End, s.Rule})
			s.End = f.hold
		} else {
			f.hold = s.Start
		}
	}
	for _, s := range merged {
		if s.End <= f.hold {
			st.replace(s)
		}
	}
	st.give(f.hold)
	st.spans = slices.DeleteFunc(f.spans, func(s Span) bool { return s.Start < f.hold })
	st.spans = merge(st.spans)
	st.resume = f.resume
	st.trim()
}

// give gives out the text before to.
func (st *Stream) give(to int) {
	if to > st.done {
		st.out = append(st.out, st.buf[st.done:to]...)
		st.done = to
	}
}

func (st *Stream) replace(s Span) {
	st.give(s.Start)
	st.put(s.Rule, s.Start, s.End)
	st.done = s.End
}

// put writes the replacement of st.buf[start:end].
func (st *Stream) put(rule string, start, end int) {
	st.hits[rule]++
	text := st.repl(rule, st.buf[start:end])
	if !st.keep {
		st.out = append(st.out, text...)
		return
	}
	n := end - start
	st.out = append(st.out, text[:min(len(text), n)]...)
	st.fill(n - len(text))
}

func (st *Stream) fill(n int) {
	for range n {
		st.out = append(st.out, '*')
	}
}

// begin replaces a key whose end has not come within the window; the rest of it is
// dropped as it comes. Of the buffer so much is kept as an END line may begin in.
func (st *Stream) begin(merged []Span, f *found) {
	start := f.opened
	for _, s := range merged {
		if s.Start < start && s.End > start {
			start = s.Start
		}
	}
	for _, s := range merged {
		if s.End <= start {
			st.replace(s)
		}
	}
	st.give(start)
	end := len(st.buf) - context
	st.put(f.openedBy.name, start, end)
	st.done, st.resume, st.spans, st.dropping = end, end, nil, f.openedBy
	for i := range st.next {
		st.next[i] = end
	}
	st.trim()
}

// drop drops text of a key, and tells whether it has ended.
func (st *Stream) drop(final bool) bool {
	end, ended := st.dropping.ends(st.buf, st.done, final)
	if !ended {
		end = max(st.done, len(st.buf)-context)
		if final {
			end = len(st.buf)
		}
	}
	if st.keep {
		st.fill(end - st.done)
	}
	st.done, st.resume = end, end
	for i := range st.next {
		st.next[i] = end
	}
	if ended {
		st.dropping = nil
	}
	st.trim()
	return ended
}

// trim forgets what is no longer looked at.
func (st *Stream) trim() {
	st.seen = len(st.buf)
	cut := min(st.done, st.resume)
	for _, n := range st.next {
		cut = min(cut, n)
	}
	if cut -= context; cut < context {
		return
	}
	n := copy(st.buf, st.buf[cut:])
	st.buf = st.buf[:n]
	st.done, st.resume, st.seen = st.done-cut, st.resume-cut, st.seen-cut
	for i := range st.next {
		st.next[i] -= cut
	}
	for i := range st.spans {
		st.spans[i].Start, st.spans[i].End = st.spans[i].Start-cut, st.spans[i].End-cut
	}
}
