package catalog_test

import (
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

func TestEveryServiceDecodes(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	services, operations := 0, 0
	for i := range c.Services {
		s, err := c.Service(i)
		if err != nil {
			t.Fatal(err)
		}
		services++
		for name := range s.Operations {
			if _, err := s.Detail(name); err != nil {
				t.Fatal(err)
			}
			operations++
		}
	}
	if services < 424 || operations < 18378 {
		t.Errorf("%d services, %d operations", services, operations)
	}
	if _, err := c.Lookup("no-such-service"); err == nil {
		t.Error("an unknown service was found")
	}
}
