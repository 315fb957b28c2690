package awsapi_test

import (
	"encoding/json"
	"os"
	"sort"
	"strings"
	"testing"
)

// TestResourceStatistic prints, for the oracle's calls, how exactly the primary
// action's resources are known, and with SALLYPORT_ORACLE writes the rest.
func TestResourceStatistic(t *testing.T) {
	id := identifier(t)
	counts := map[string]int{}
	bad := map[string]string{}
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
		if kind == "partial" || kind == "star" {
			p, _ := json.Marshal(s.Expect.Params)
			var arns []string
			for _, r := range call.Actions[0].Resources {
				arns = append(arns, r.ARN)
			}
			if len(p) > 400 {
				p = p[:400]
			}
			bad[call.Service+":"+call.Operation] = kind + " " + strings.Join(arns, " ") + " " + string(p)
		}
	}
	t.Log(counts)
	if out := os.Getenv("SALLYPORT_STAT"); out != "" {
		var keys []string
		for k := range bad {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		var b strings.Builder
		for _, k := range keys {
			b.WriteString(k + " " + bad[k] + "\n")
		}
		os.WriteFile(out, []byte(b.String()), 0o600)
	}
}
