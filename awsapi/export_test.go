package awsapi

import "slices"

// ServicesOf are the catalog ids of the services that h may stand for, sorted.
func (id *Identifier) ServicesOf(h Host) []string {
	var out []string
	for _, c := range h.candidates {
		out = append(out, id.cat.Services[c.service].ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
