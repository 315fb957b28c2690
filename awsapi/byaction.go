package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// CallByAction is the Call that some request for an IAM action ("s3:GetObject")
// on a resource would be: what `policy explain` judges without a request. The
// action's name is compared without regard to case, as IAM does. It has no
// Canonical, so nothing can sign it. An unknown action is refused as
// Unidentified.
func (id *Identifier) CallByAction(action, resource, partition, region string) (*Call, error) {
	prefix, word, ok := strings.Cut(action, ":")
	if !ok {
		return nil, refusal.New(refusal.Malformed, "%q is not an action; write service:Action, for example s3:GetObject", action)
	}
	for i := range id.cat.Services {
		info := &id.cat.Services[i]
		if !slices.ContainsFunc(info.IAMPrefixes, func(p string) bool { return strings.EqualFold(p, prefix) }) {
			continue
		}
		s, err := id.cat.Service(i)
		if err != nil {
			return nil, err
		}
		names := make([]string, 0, len(s.Operations))
		for name := range s.Operations {
			names = append(names, name)
		}
		slices.Sort(names) // the first that has the action, the same each time
		for _, name := range names {
			d, err := s.Detail(name)
			if err != nil {
				return nil, err
			}
			if len(d.IAM) == 0 && strings.EqualFold(name, word) {
				// It needs no permission, or AWS documents none: rules go by its name.
				return callByAction(s, name, catalog.Action{Action: info.IAMPrefixes[0] + ":" + name}, resource, partition, region), nil
			}
			if len(d.IAM) == 0 || !strings.EqualFold(d.IAM[0].Action, action) {
				continue
			}
			return callByAction(s, name, d.IAM[0], resource, partition, region), nil
		}
	}
	return nil, refusal.New(refusal.Unidentified, "no AWS operation needs the action %s", action)
}

func callByAction(s *catalog.Service, operation string, a catalog.Action, resource, partition, region string) *Call {
	account := ""
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 {
		account = parts[4]
	}
	return &Call{
		Partition: partition, Service: s.ID, Region: region, Operation: operation,
		Permissionless: s.Operations[operation].Permissionless,
		Classes:        classesOf(s.ID, operation),
		Actions: []Action{{Name: a.Action, Level: AccessLevel(a.Level),
			Resources: []Resource{{ARN: resource, Account: account, Partial: resource == "*"}}}},
	}
}
