package awsapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// ActionNames are the names that requests are judged by, for who compares patterns
// with them: IAM actions and what stands for one, and the services in ARNs. It reads
// the catalog as far as it is asked and keeps that, so it is not for keeping itself.
// It is not safe for concurrent use.
type ActionNames struct {
	cat      *catalog.Catalog
	names    [][]string                 // by service; nil: not read
	needs    []map[string]catalog.Needs // by service; nil: not read
	prefixes []string
	shared   map[string]int // how many services have hosts that begin so
}

// ActionNames makes one.
func (id *Identifier) ActionNames() *ActionNames {
	n := &ActionNames{cat: id.cat, names: make([][]string, len(id.cat.Services)), needs: make([]map[string]catalog.Needs, len(id.cat.Services)), shared: map[string]int{}}
	for _, s := range n.cat.Services {
		n.shared[s.EndpointPrefix]++
		n.prefixes = append(n.prefixes, s.IAMPrefixes...)
	}
	slices.Sort(n.prefixes)
	n.prefixes = slices.Compact(n.prefixes)
	return n
}

// Prefixes are what stands before the colon of actions, sorted.
func (n *ActionNames) Prefixes() []string { return n.prefixes }

// Find calls f with actions until it returns true, and reports whether it did. Those
// of services that have the prefix, in lower case, come first; "" is any.
func (n *ActionNames) Find(prefix string, f func(action string) bool) (bool, error) {
	for _, likely := range []bool{true, false} {
		for i := range n.cat.Services {
			if n.has(i, prefix) != likely {
				continue
			}
			if err := n.read(i); err != nil {
				return false, err
			}
			if slices.ContainsFunc(n.names[i], f) {
				return true, nil
			}
		}
	}
	return false, nil
}

func (n *ActionNames) has(i int, prefix string) bool {
	info := &n.cat.Services[i]
	return prefix == "" || info.ID == prefix || slices.Contains(info.IAMPrefixes, prefix)
}

// OfOperation is the action that an API operation needs first, where its name is no
// action's: s3:ListBucket for s3:ListObjectsV2. "" when there is no such operation.
func (n *ActionNames) OfOperation(name string) (string, error) {
	prefix, operation, _ := strings.Cut(name, ":")
	for i := range n.cat.Services {
		if !n.has(i, strings.ToLower(prefix)) {
			continue
		}
		if err := n.read(i); err != nil {
			return "", err
		}
		for op, need := range n.needs[i] {
			if strings.EqualFold(op, operation) && len(need.Actions) > 0 {
				return need.Actions[0], nil
			}
		}
	}
	return "", nil
}

// Partitions are the partitions of ARNs.
func (n *ActionNames) Partitions() []string {
	out := make([]string, len(n.cat.Partitions))
	for i, p := range n.cat.Partitions {
		out[i] = p.ID
	}
	return out
}

// ARNServices are the services of ARNs, sorted: those of the templates, and all that
// have actions, since requests name ARNs that no template has.
func (n *ActionNames) ARNServices() ([]string, error) {
	all := map[string]bool{}
	for _, p := range n.prefixes {
		all[p] = true
	}
	for i := range n.cat.Services {
		if err := n.read(i); err != nil {
			return nil, err
		}
		for _, need := range n.needs[i] {
			for _, s := range need.Services {
				all[s] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

func (n *ActionNames) read(i int) error {
	if n.names[i] != nil {
		return nil
	}
	needs, err := n.cat.Needs(i)
	if err != nil {
		return err
	}
	info := &n.cat.Services[i]
	names := map[string]bool{}
	for op, need := range needs {
		// What policy calls it without an action, and what a call's Twins have.
		if need.Permissionless || need.Deprecated || n.shared[info.EndpointPrefix] > 1 {
			names[info.ID+":"+op] = true
		}
		if len(need.Actions) == 0 && len(info.IAMPrefixes) > 0 {
			names[info.IAMPrefixes[0]+":"+op] = true
		}
		for _, a := range need.Actions {
			names[a] = true
		}
	}
	if info.ID == "s3" {
		addS3(names)
	}
	n.needs[i], n.names[i] = needs, append(make([]string, 0, len(names)), slices.Sorted(maps.Keys(names))...)
	return nil
}

// addS3 adds what depends on more than the operation.
func addS3(names map[string]bool) {
	for _, a := range versionActions {
		names[a] = true
	}
	for _, list := range besidePut {
		for _, more := range list {
			names[more.action] = true
		}
	}
	for a := range maps.Clone(names) {
		if name, ok := strings.CutPrefix(a, "s3:"); ok {
			names["s3-object-lambda:"+name], names["s3-outposts:"+name] = true, true
		}
	}
}
