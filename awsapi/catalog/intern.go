package catalog

// intern makes equal texts one: the ARN templates of a service's resource types
// stand at hundreds of its operations.
func (d *Detail) intern(seen map[string]string) {
	one := func(s *string) {
		if *s == "" {
			return
		}
		if old, ok := seen[*s]; ok {
			*s = old
			return
		}
		seen[*s] = *s
	}
	pairs := func(p Pairs) {
		for i := range p {
			one(&p[i].Key)
			one(&p[i].Value)
		}
	}
	d.IAM, d.ArnMembers = exact(d.IAM), exact(d.ArnMembers)
	for i := range d.IAM {
		a := &d.IAM[i]
		a.Resources = exact(a.Resources)
		one(&a.Action)
		one(&a.Level)
		one(&a.ARN)
		for j := range a.Resources {
			one(&a.Resources[j].Name)
			one(&a.Resources[j].ARN)
		}
		pairs(a.Bind)
		pairs(a.GuessedBind)
		pairs(a.ARNs)
	}
	pairs(d.Idempotency)
	for i := range d.ArnMembers {
		one(&d.ArnMembers[i])
	}
	one(&d.ResultWrapper)
	for _, lists := range []map[string][]Member{d.SensitiveInput, d.SensitiveOutput, d.SecretOutput} {
		for protocol, list := range lists {
			list = exact(list)
			for i := range list {
				m := &list[i]
				if m.Member == "" {
					m.Member = m.Path
				}
				for _, s := range []*string{&m.Path, &m.Member, &m.In, &m.Type, &m.XML, &m.Param, &m.Kind} {
					one(s)
				}
			}
			lists[protocol] = list
		}
	}
}

// intern is Detail.intern for the bindings.
func (op *Operation) intern(seen map[string]string) {
	one := func(s *string) {
		if old, ok := seen[*s]; ok {
			*s = old
		} else if *s != "" {
			seen[*s] = *s
		}
	}
	one(&op.Method)
	one(&op.HostPrefix)
	op.Auth = exact(op.Auth)
	for i := range op.Auth {
		one(&op.Auth[i])
	}
	for _, list := range []Pairs{op.Query, op.Labels, op.Context} {
		for i := range list {
			one(&list[i].Key)
			one(&list[i].Value)
		}
	}
	for _, list := range []Bindings{op.QueryMembers, op.HeaderMembers} {
		for i := range list {
			one(&list[i].Wire)
			one(&list[i].Member)
		}
	}
}

// exact is the list without the room that a decoder leaves for more.
func exact[T any](list []T) []T {
	if list == nil {
		return nil
	}
	return append(make([]T, 0, len(list)), list...)
}
