package mask

// node is one step of the catalog's paths. Its zero value marks nothing.
type node struct {
	children map[string]*node // by wire name; "*" is any element or map value
	marked   bool             // this value, and everything below it, is masked
	keys     bool             // the keys of this map are masked
	open     bool             // the rule gives this value, and everything below it, to the agent
	typ      string           // shape type where marked
	label    string           // the path, for findings
	reenters []*node          // nodes whose children are this node's too
}

func (n *node) insert(path []string, typ, label string) {
	if typ == "map-key" && len(path) > 0 {
		// The row's last step stands for the keys; they belong to the map above.
		path = path[:len(path)-1]
	}
	for _, step := range path {
		n = n.child(step)
	}
	if typ == "map-key" {
		n.keys = true
		if n.label == "" {
			n.label = label
		}
		return
	}
	if !n.marked {
		n.marked, n.typ, n.label = true, typ, label
	}
}

// expose marks what a rule's unmask names: detectors leave it alone.
func (n *node) expose(path []string) {
	for _, step := range path {
		n = n.child(step)
	}
	n.open = true
}

func (n *node) child(step string) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := n.children[step]
	if c == nil {
		c = &node{}
		n.children[step] = c
	}
	return c
}

// reenter makes path a place at which a shape occurs again. Which of the shapes
// above it recurs is not in the catalog's paths, so all of them count: members of
// another shape have other names, and masking one too many is safe.
func (n *node) reenter(path []string) {
	var above []*node
	for _, step := range path {
		above = append(above, n)
		n = n.child(step)
	}
	n.reenters = append(n.reenters, above...)
}

// next appends to out the nodes that key leads to.
func (n *node) next(key []byte, out []*node) []*node {
	out = n.step(key, out)
	for _, r := range n.reenters {
		out = r.step(key, out)
	}
	return out
}

func (n *node) step(key []byte, out []*node) []*node {
	if c := n.children[string(key)]; c != nil && string(key) != "*" {
		out = append(out, c)
	}
	if c := n.children["*"]; c != nil {
		out = append(out, c)
	}
	return out
}

// opens reports that one of the nodes is given to the agent.
func opens(ns []*node) bool {
	for _, n := range ns {
		if n.open {
			return true
		}
	}
	return false
}

// marks returns the first marked node.
func marks(ns []*node) *node {
	for _, n := range ns {
		if n.marked {
			return n
		}
	}
	return nil
}
