package mask

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
)

// maxPlans is how many plans a Masker keeps for calls that come again.
const maxPlans = 1024

// PlanCall is Plan for an identified call: the rest is the decision's. Calls of one
// operation under the same rule share one plan, which does not change.
func (m *Masker) PlanCall(call *awsapi.Call, paths []Path, style Style, unmask []string) (*Plan, error) {
	part := ""
	if call.StreamingOutput && m.objects {
		if n, ok := call.Params()["PartNumber"]; ok {
			part = fmt.Sprint(n)
		}
	}
	key := planKey(call, part, paths, style, unmask)
	if p, ok := m.plans.Get(key); ok {
		return p, nil
	}
	p, err := m.Plan(inputOf(call, part, paths, style, unmask))
	if err == nil {
		m.plans.Add(key, p)
	}
	return p, err
}

// inputOf is what masking needs to know of a call.
func inputOf(call *awsapi.Call, part string, paths []Path, style Style, unmask []string) Input {
	in := Input{
		Protocol:          string(call.Protocol),
		Paths:             paths,
		Style:             style,
		Unmask:            unmask,
		StreamingOutput:   call.StreamingOutput,
		EventStreamOutput: call.EventStreamOutput,
		Part:              part,
	}
	for _, s := range call.Sensitive() {
		in.Members = append(in.Members, Member{Path: s.Path, Member: s.Member, In: s.In, Type: s.Type, XML: s.XML})
	}
	for _, r := range call.Recursions() {
		in.Recursive = append(in.Recursive, r.At)
	}
	return in
}

// planKey joins what a plan depends on. No part holds a NUL: names come from the
// catalog, and the policy refuses paths with characters that cannot be printed.
func planKey(call *awsapi.Call, part string, paths []Path, style Style, unmask []string) string {
	var b strings.Builder
	for _, s := range append([]string{call.Service, call.Operation, string(call.Protocol), string(style), part}, call.Twins...) {
		b.WriteString(s)
		b.WriteByte(0)
	}
	b.WriteByte(0)
	for _, p := range paths {
		b.WriteString(p.Path)
		b.WriteByte(0)
		b.WriteString(string(p.As))
		b.WriteByte(0)
	}
	b.WriteByte(0)
	for _, u := range unmask {
		b.WriteString(u)
		b.WriteByte(0)
	}
	return b.String()
}
