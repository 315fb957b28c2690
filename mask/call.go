package mask

import "github.com/sallyport/sallyport/awsapi"

// PlanCall is Plan for an identified call: the rest is the decision's.
func (m *Masker) PlanCall(call *awsapi.Call, paths []Path, style Style, unmask []string) (*Plan, error) {
	in := Input{
		Protocol:          string(call.Protocol),
		Paths:             paths,
		Style:             style,
		Unmask:            unmask,
		StreamingOutput:   call.StreamingOutput,
		EventStreamOutput: call.EventStreamOutput,
	}
	for _, s := range call.Sensitive() {
		in.Members = append(in.Members, Member{Path: s.Path, Member: s.Member, In: s.In, Type: s.Type, XML: s.XML})
	}
	for _, r := range call.Recursions() {
		in.Recursive = append(in.Recursive, r.At)
	}
	return m.Plan(in)
}
