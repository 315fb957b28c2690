package awsapi_test

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// urlChanges are of the path, and of what chooses between S3's operations.
var urlChanges = []change{
	{"path", func(m *mutant, rng *rand.Rand) bool {
		segs := strings.Split(m.path, "/")
		if len(segs) < 2 {
			return false
		}
		i := 1 + rng.IntN(len(segs)-1)
		switch rng.IntN(12) {
		case 0:
			segs = slices.Insert(segs, i, pickOne(rng, ".", "..", "%2e", "%2E%2e", ".%2e", "", "x", "%2f", "%5c"))
		case 1:
			segs[i] += pickOne(rng, "%2F", "%252f", "%2f..%2f", ";x=y", "%3Facl", "%23", "%00", "%0a", "+", "%ff", "%", "\\", "#f", "%20", ".", "..;", "%3f", "%c0%ae")
		case 2:
			m.path = strings.Replace(m.path, "/", "//", 1+rng.IntN(3))
			return true
		case 3:
			m.path += "/"
			return true
		case 4, 5, 6:
			if segs[i] == "" {
				return false
			}
			segs[i] = percent(rng, segs[i])
		case 7:
			if segs[i] == "" {
				return false
			}
			segs[i] = turnCase(rng, segs[i])
		case 8:
			m.path = strings.TrimSuffix(m.path, "/"+segs[len(segs)-1]) + "%2F" + segs[len(segs)-1]
			return true
		case 9:
			segs = slices.Insert(segs, i, segs[i], "..")
		case 10:
			m.path = "/" + m.host + m.path
			return true
		case 11:
			if len(segs) < 3 {
				return false
			}
			segs = slices.Delete(segs, i, i+1)
		}
		m.path = strings.Join(segs, "/")
		return true
	}},
	{"sub-resource", func(m *mutant, rng *rand.Rand) bool {
		p := pickOne(rng, "acl", "policy", "tagging", "uploads", "uploadId=x", "versionId=3", "x-id=GetObject", "x-id=DeleteObject", "x-id="+m.operation, "partNumber=1", "torrent", "delete", "select&select-type=2", "versions", "list-type=2",
			"response-content-type=x", "acl=", "policy=x", "restore", "website", "mode=import", "operation=x", "Qualifier=7", "attributes", "renameObject", "session", "prefix=x", "encryption", "lifecycle", "id=x")
		if rng.IntN(4) == 0 {
			p = turnCase(rng, p)
		}
		m.addQuery(rng, p)
		return true
	}},
}
