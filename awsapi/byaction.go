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

// CallByName is CallByAction for an IAM action or, where no action has the name, an
// API operation of a service by the catalog's id: s3:ListObjectsV2.
func (id *Identifier) CallByName(name, resource, partition, region string) (*Call, error) {
	call, err := id.CallByAction(name, resource, partition, region)
	if err == nil {
		return call, nil
	}
	service, operation, _ := strings.Cut(name, ":")
	s, lookupErr := id.cat.Lookup(service)
	if lookupErr != nil || s.Operations[operation] == nil {
		return nil, err
	}
	d, detailErr := s.Detail(operation)
	if detailErr != nil {
		return nil, detailErr
	}
	action := catalog.Action{Action: s.IAMPrefixes[0] + ":" + operation}
	if len(d.IAM) > 0 {
		action = d.IAM[0]
	}
	return callByAction(s, operation, action, resource, partition, region), nil
}

// WithParams is a copy of a call that was made by name, with parameters. A call
// that came over the wire keeps those it came with.
func (c *Call) WithParams(p map[string]any) *Call {
	out := *c
	if c.canonical.IsZero() && c.uncarried == nil {
		out.params = &params{all: p}
	}
	return &out
}

// CallByOperation is a Call of an API operation as far as its answer goes: what
// Sensitive says of it in a protocol, "" being the one that current clients speak.
// service is the catalog's id, which is the AWS CLI's command. An unknown service,
// operation or protocol is refused as Unidentified.
func (id *Identifier) CallByOperation(service, operation string, p Protocol) (*Call, error) {
	s, err := id.cat.Lookup(service)
	if err != nil {
		return nil, refusal.Wrap(refusal.Unidentified, err, "there is no service %q; services are named as the AWS CLI's commands are: secretsmanager, dynamodb, ...", service)
	}
	op := s.Operations[operation]
	if op == nil {
		for name := range s.Operations {
			if strings.EqualFold(name, operation) {
				return nil, refusal.New(refusal.Unidentified, "%s has no operation %q; did you mean %s?", s.ID, operation, name)
			}
		}
		return nil, refusal.New(refusal.Unidentified, "%s has no operation %q; operations are named as in AWS's API reference: GetSecretValue", s.ID, operation)
	}
	if p == "" {
		p = Protocol(s.Protocols[0])
	}
	if !slices.Contains(s.Protocols, string(p)) {
		return nil, refusal.New(refusal.Unidentified, "%s does not speak the protocol %q; it speaks %s", s.ID, string(p), strings.Join(s.Protocols, ", "))
	}
	d, err := s.Detail(operation)
	if err != nil {
		return nil, err
	}
	call := callByAction(s, operation, catalog.Action{Action: s.ID + ":" + operation}, "*", "", "")
	call.Protocol, call.StreamingOutput, call.EventStreamOutput, call.detail = p, op.StreamingOutput, op.EventStreamOutput, d
	return call, nil
}
