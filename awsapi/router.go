package awsapi

import (
	"slices"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// router finds the operation of a REST service by method and raw path segments.
type router struct {
	svc    *catalog.Service
	exact  map[routeKey][]*catalog.Operation
	greedy map[string][]*catalog.Operation // by method
	static map[string]string               // lower-case query key by which operations are told apart -> the key
}

type routeKey struct {
	method   string
	segments int
}

func (id *Identifier) router(i int) (*router, error) {
	id.mu.RLock()
	r := id.routes[i]
	id.mu.RUnlock()
	if r != nil {
		return r, nil
	}
	svc, err := id.cat.Service(i)
	if err != nil {
		return nil, err
	}
	r = &router{svc: svc, exact: map[routeKey][]*catalog.Operation{}, greedy: map[string][]*catalog.Operation{}, static: map[string]string{}}
	names := make([]string, 0, len(svc.Operations))
	for n := range svc.Operations {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		op := svc.Operations[n]
		for _, q := range op.Query {
			r.static[strings.ToLower(q.Key)] = q.Key
		}
		if isGreedy(op) {
			r.greedy[op.Method] = append(r.greedy[op.Method], op)
			continue
		}
		k := routeKey{op.Method, len(op.Parsed)}
		r.exact[k] = append(r.exact[k], op)
	}
	id.mu.Lock()
	id.routes[i] = r
	id.mu.Unlock()
	return r, nil
}

// match is an operation that the request may be.
type match struct {
	svc  *catalog.Service
	op   *catalog.Operation
	cand candidate
}

func (m match) isGreedy() bool { return isGreedy(m.op) }

// isGreedy reports a label that takes more than one segment.
func isGreedy(op *catalog.Operation) bool {
	return slices.ContainsFunc(op.Parsed, func(s catalog.Segment) bool { return s.Greedy })
}

const copySource = "x-amz-copy-source"

// find appends the operations that fit, all of them. copies: the request has a
// copy's source, by which S3 tells copies from uploads.
func (r *router) find(out []match, c candidate, method string, segs []string, query []pair, copies bool) []match {
	fit := func(op *catalog.Operation) {
		if op.HostPrefix != c.prefix && c.prefix != "" {
			return
		}
		if !fitsPath(op.Parsed, segs) {
			return
		}
		for i := range op.Query {
			if got, ok := find(query, op.Query[i].Key); !ok || got != op.Query[i].Value {
				return
			}
		}
		// Only S3 tells operations apart by required members. Elsewhere an empty
		// list leaves its required parameter out.
		if r.svc.ID == "s3" {
			for i := range op.QueryMembers {
				if b := &op.QueryMembers[i]; b.Required {
					if _, ok := find(query, b.Wire); !ok {
						return
					}
				}
			}
			if b, _ := op.HeaderMembers.Get(copySource); b.Required && !copies {
				return
			}
		}
		out = append(out, match{r.svc, op, c})
	}
	for _, op := range r.exact[routeKey{method, len(segs)}] {
		fit(op)
	}
	if last := len(segs) - 1; r.svc.ID == "lambda" && last > 0 && segs[last] == "" {
		// Models before 2024 wrote /2015-03-31/functions/ for what is a collection's
		// name now. AWS serves both; clients with those models are in use.
		segs = segs[:last]
		for _, op := range r.exact[routeKey{method, last}] {
			if !op.Parsed[last-1].Label {
				fit(op)
			}
		}
	}
	for _, op := range r.greedy[method] {
		fit(op)
	}
	return out
}

// fitsPath matches raw segments: a label takes one that is not empty, a greedy
// one takes one or more.
func fitsPath(pattern []catalog.Segment, segs []string) bool {
	for i, p := range pattern {
		if p.Greedy {
			tail := len(pattern) - i - 1
			n := len(segs) - i - tail
			if n < 1 || (n == 1 && segs[i] == "") {
				return false
			}
			return fitsPath(pattern[i+1:], segs[i+n:])
		}
		if i >= len(segs) {
			return false
		}
		if p.Label {
			if segs[i] == "" {
				return false
			}
		} else if p.Text != segs[i] {
			return false
		}
	}
	return len(pattern) == len(segs)
}

// better compares two operations that both fit: negative if a is the more
// specific one. A literal beats a label beats a greedy label at the first
// segment where they differ; then more static query parameters, then more
// required members, then the operation whose host prefix the name carries.
func better(a, b match) int {
	for i := range min(len(a.op.Parsed), len(b.op.Parsed)) {
		if d := rank(a.op.Parsed[i]) - rank(b.op.Parsed[i]); d != 0 {
			return d
		}
	}
	if d := len(b.op.Parsed) - len(a.op.Parsed); d != 0 {
		return d
	}
	if d := len(b.op.Query) - len(a.op.Query); d != 0 {
		return d
	}
	if a.svc.ID == "s3" && b.svc.ID == "s3" {
		if d := required(b.op) - required(a.op); d != 0 {
			return d
		}
	}
	return boolInt(b.op.HostPrefix == b.cand.prefix) - boolInt(a.op.HostPrefix == a.cand.prefix)
}

func rank(s catalog.Segment) int { return boolInt(s.Label) + boolInt(s.Greedy) }

func required(op *catalog.Operation) int {
	n := 0
	for _, b := range op.QueryMembers {
		n += boolInt(b.Required)
	}
	if b, _ := op.HeaderMembers.Get(copySource); b.Required {
		n++
	}
	return n
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// best keeps the most specific matches: one, or twins.
func best(list []match) []match {
	if len(list) < 2 {
		return list
	}
	top := list[:1]
	for _, m := range list[1:] {
		switch d := better(m, top[0]); {
		case d < 0:
			top = []match{m}
		case d == 0:
			top = append(top[:len(top):len(top)], m)
		}
	}
	return top
}
