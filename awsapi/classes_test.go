package awsapi

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// Every operation whose answer holds an AWS key pair is refused by default.
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
					if (m.Kind == "aws-secret-access-key" || m.Kind == "aws-session-token") && !slices.Contains(classesOf(s.ID, op), HandsOutCredentials) {
						t.Errorf("%s:%s returns %s and is not classed", s.ID, op, m.Kind)
					}
				}
			}
		}
	}
	for _, op := range [][2]string{{"sts", "GetCallerIdentity"}, {"secretsmanager", "GetSecretValue"}, {"lambda", "GetFunction"}} {
		if slices.Contains(classesOf(op[0], op[1]), HandsOutCredentials) {
			t.Errorf("%s:%s is refused without allow_credentials", op[0], op[1])
		}
	}
}
