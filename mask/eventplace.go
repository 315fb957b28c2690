package mask

// eventPlace is where an event or a member of it stands in the catalog's and the
// rule's paths.
type eventPlace struct {
	nodes []*node
	rules []at
}

// find is where the event of this type stands. The catalog's paths begin at the
// event stream's member in RPC protocols, and at the event in REST protocols, where
// the stream is the payload: only there its name is known. A rule's path may begin at either.
func (p *Plan) find(event string) eventPlace {
	var here eventPlace
	if p.root.marked {
		here.nodes = append(here.nodes, p.root)
	}
	if p.stream != "" {
		here.nodes = p.root.next([]byte(event), here.nodes)
	} else {
		for _, member := range p.root.children {
			if member.marked { // the stream itself
				here.nodes = append(here.nodes, member)
			}
			here.nodes = member.next([]byte(event), here.nodes)
		}
	}
	for _, r := range p.rules {
		if a, ok := r.key(event); ok {
			here.rules = append(here.rules, a)
		}
		if a, ok := p.streamStep(r); ok {
			if !a.done() {
				a, ok = a.key(event)
			}
			if ok {
				here.rules = append(here.rules, a)
			}
		}
	}
	return here
}

// streamStep is the place after the event stream's member. Where the catalog does
// not tell its name, any name counts: a rule that misses is worse than one that
// masks too much.
func (p *Plan) streamStep(r at) (at, bool) {
	if p.stream != "" {
		return r.key(p.stream)
	}
	return at{rule: r.rule, next: r.next + 1, named: true}, r.rule.steps[r.next].kind == nameStep || r.rule.steps[r.next].kind == patternStep
}

// below is where a member of the event stands.
func (here eventPlace) below(member string) eventPlace {
	var out eventPlace
	for _, n := range here.nodes {
		if n.marked {
			out.nodes = append(out.nodes, n)
		}
		out.nodes = n.next([]byte(member), out.nodes)
	}
	for _, r := range here.rules {
		if r.done() {
			out.rules = append(out.rules, r)
		} else if a, ok := r.key(member); ok {
			out.rules = append(out.rules, a)
		}
	}
	return out
}

// any is where any member stands.
func (here eventPlace) any() eventPlace {
	var out eventPlace
	for _, n := range here.nodes {
		for _, c := range n.children {
			out.nodes = append(out.nodes, c)
		}
	}
	for _, r := range here.rules {
		if !r.done() && (r.rule.steps[r.next].kind == nameStep || r.rule.steps[r.next].kind == patternStep) {
			out.rules = append(out.rules, at{rule: r.rule, next: r.next + 1, named: true})
		}
	}
	return out
}
