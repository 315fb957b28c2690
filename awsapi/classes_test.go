package awsapi

import (
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

func TestClassesExist(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for service, ops := range handsOutCredentials {
		s, err := c.Lookup(service)
		if err != nil {
			t.Error(err)
			continue
		}
		for op, reason := range ops {
			if s.Operations[op] == nil || reason == "" {
				t.Errorf("%s:%s is not in the catalog, or has no reason", service, op)
			}
		}
	}
}

// Every operation whose answer holds an AWS key pair is classed.
func TestKeyPairsAreClassed(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Services {
		s, err := c.Service(i)
		if err != nil {
			t.Fatal(err)
		}
		for op := range s.Operations {
			d, err := s.Detail(op)
			if err != nil {
				t.Fatal(err)
			}
			for _, list := range d.SecretOutput {
				for _, m := range list {
					if (m.Kind == "aws-secret-access-key" || m.Kind == "aws-session-token") && classesOf(s.ID, op) == nil {
						t.Errorf("%s:%s returns %s and is not classed", s.ID, op, m.Kind)
					}
				}
			}
		}
	}
	for _, op := range [][2]string{{"sts", "GetCallerIdentity"}, {"secretsmanager", "GetSecretValue"}} {
		if classesOf(op[0], op[1]) != nil {
			t.Errorf("%s:%s is classed", op[0], op[1])
		}
	}
}
