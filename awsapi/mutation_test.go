package awsapi_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// TestMutations changes requests of real clients at random. What is accepted is
// read again by two readers who differ wherever servers do, from what would be
// sent and nothing else: both must find the operation that the Call says and, member by
// member, the parameters that rules are held against and resources are made of.
func TestMutations(t *testing.T) {
	const seed = 20261126
	n := 10000
	if v := os.Getenv("SALLYPORT_MUTATIONS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	id := identifier(t)
	cat, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	hosts := newHostTable(t, cat)
	readers := []*reader{{cat: cat, hosts: hosts}, {lax: true, cat: cat, hosts: hosts}}
	all := samples(t)
	byProtocol := map[string][]*sample{}
	for i := range all {
		byProtocol[all[i].Expect.Protocol] = append(byProtocol[all[i].Expect.Protocol], &all[i])
	}
	protocols := slices.Sorted(maps.Keys(byProtocol))
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	counts, shown := map[string]int{}, map[string]int{}
	perChange := map[string][2]int{}
	for range n {
		// The change first, and half of the requests by protocol, so that what is rare
		// among the samples has its share.
		c0 := changes[rng.IntN(len(changes))]
		pick := func() *mutant {
			if rng.IntN(2) == 0 {
				return mutantOf(t, &all[rng.IntN(len(all))])
			}
			list := byProtocol[protocols[rng.IntN(len(protocols))]]
			return mutantOf(t, list[rng.IntN(len(list))])
		}
		m := pick()
		for !c0.do(m, rng) {
			m = pick()
		}
		m.done = append(m.done, c0.name)
		if c1 := changes[rng.IntN(len(changes))]; rng.IntN(4) == 0 && c1.do(m, rng) {
			m.done = append(m.done, c1.name)
		}
		counts["tried"]++
		call, err := identify(id, m.request(), m.body)
		c := perChange[m.done[0]]
		switch {
		case err != nil:
			counts["refused: "+string(refusal.Of(err).Reason)]++
			c[1]++
		case call.Uncarried() != nil:
			counts["not carried"]++
			if !call.Canonical().IsZero() {
				t.Errorf("%v: not carried, and there is something to sign", m.done)
			}
		default:
			counts["accepted"]++
			c[0]++
			for _, d := range disagreements(id, readers, m, call) {
				what, _, _ := strings.Cut(d, ":")
				key := m.done[0] + "/" + m.protocol + "/" + what
				if shown[key]++; shown[key] < 4 {
					t.Errorf("%s\n  changes %q\n  %s %s%s\n  headers %v\n  body %.600q\n  is %s:%s %+v", d, m.done, m.method, m.host, m.target(), m.header, m.body, call.Service, call.Operation, call.Actions)
				}
			}
		}
		perChange[m.done[0]] = c
	}
	t.Logf("seed %d: %v", seed, counts)
	if testing.Verbose() {
		for _, c := range changes {
			t.Logf("%-40s accepted %d, refused %d", c.name, perChange[c.name][0], perChange[c.name][1])
		}
		t.Logf("disagreements: %v", shown)
	}
	if counts["accepted"] == 0 {
		t.Error("nothing was accepted")
	}
}
