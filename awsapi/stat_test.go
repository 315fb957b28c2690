package awsapi_test

import "testing"

// TestResourceStatistic prints, for the oracle's calls, how exactly the primary
// action's resources are known.
func TestResourceStatistic(t *testing.T) {
	id := identifier(t)
	counts := map[string]int{}
	for _, s := range samples(t) {
		req, body := s.request(t)
		call, err := identify(id, req, body)
		if err != nil || len(call.Actions) == 0 {
			continue
		}
		kind := "exact"
		for _, r := range call.Actions[0].Resources {
			if r.ARN == "*" && !r.Partial {
				if kind == "exact" {
					kind = "none"
				}
			} else if r.ARN == "*" {
				kind = "star"
			} else if r.Partial && kind != "star" {
				kind = "partial"
			}
		}
		counts[kind]++
	}
	known := counts["exact"] + counts["partial"] + counts["star"]
	t.Logf("%v; of those with resources exact %.1f %%, partial %.1f %%, unknown %.1f %%", counts,
		100*float64(counts["exact"])/float64(known), 100*float64(counts["partial"])/float64(known), 100*float64(counts["star"])/float64(known))
	if counts["exact"]*100 < known*60 {
		t.Error("fewer resources are known exactly than before")
	}
}
