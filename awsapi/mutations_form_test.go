package awsapi_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
)

var siblings = []string{"AssumeRole", "GetSessionToken", "TerminateInstances", "DescribeInstances", "DeleteQueue", "DeleteDBInstance", "PutItem", "GetItem", "DeleteTable", "GetObject", "SendEmail", "DeleteIdentity"}

// changeIndex changes one parameter that has an element's number in its name.
func changeIndex(m *mutant, rng *rand.Rand, change func(k, v, before, n, after string) string) bool {
	list := strings.Split(m.params(), "&")
	var at []int
	for i, p := range list {
		if k, _, _ := strings.Cut(p, "="); index.MatchString(k) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return false
	}
	i := pickOne(rng, at...)
	k, v, _ := strings.Cut(list[i], "=")
	all := index.FindAllStringSubmatchIndex(k, -1)
	n := pickOne(rng, all...)
	list[i] = change(k, v, k[:n[2]], k[n[2]:n[3]], k[n[3]:])
	m.setParams(strings.Join(list, "&"))
	return true
}

var index = regexp.MustCompile(`\.(\d+)`)

// formChanges are of what has parameters: a form, or a query.
var formChanges = []change{
	{"parameter twice", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string { return add(rng, k+"="+v, k+"="+v+"x") })
	}},
	{"parameter twice, encoded name", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string { return add(rng, k+"="+v, percent(rng, k)+"="+v+"x") })
	}},
	{"parameter twice, other case", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string { return add(rng, k+"="+v, turnCase(rng, k)+"="+v+"x") })
	}},
	{"parameter in other case", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string { return turnCase(rng, k) + "=" + v })
	}},
	{"parameter with encoded name", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string { return percent(rng, k) + "=" + v })
	}},
	{"parameter's value spelled otherwise", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string {
			return k + "=" + pickOne(rng, v+"+x", v+";x", v+";"+k+"=x", v+"%", v+"%00", v+"%ff", v+"=x", "+"+v, v+"%2B", "%20"+v, v+"%2526x%3D1", v+"%26Action%3Dx", "")
		})
	}},
	{"parameter's index spelled otherwise", func(m *mutant, rng *rand.Rand) bool {
		return changeIndex(m, rng, func(k, v, before, n, after string) string {
			other := strings.TrimSuffix(before, ".") + pickOne(rng, ".01", ".1 ", ".%201", ".+1", ".%2B1", ".0", ".-1", ".member.1", ".entry.1", ".item.1", ".1.", "..1", ".1.1", "[1]", "[]", ".%EF%BC%91", ".1000000", ".0x1", ".1e0", ".one", "") + after + "=" + v
			return pickOne(rng, other, add(rng, k+"="+v, other+"x"))
		})
	}},
	{"element added", func(m *mutant, rng *rand.Rand) bool {
		return changeIndex(m, rng, func(k, v, before, n, after string) string {
			return add(rng, k+"="+v, before+pickOne(rng, n+"0", "2", "9", "999999", n)+after+"="+v+"x")
		})
	}},
	{"word around an element", func(m *mutant, rng *rand.Rand) bool {
		return changeIndex(m, rng, func(k, v, before, n, after string) string {
			bare := strings.TrimSuffix(strings.TrimSuffix(before, "member."), "entry.")
			second := bare + pickOne(rng, "", "member.", "entry.", "item.", "Member.", "member.member.", "key.") + n + after + "=" + v
			return pickOne(rng, second, add(rng, k+"="+v, second+"x"))
		})
	}},
	{"list by the model's name", func(m *mutant, rng *rand.Rand) bool {
		return changeIndex(m, rng, func(k, v, before, n, after string) string {
			name := strings.TrimSuffix(before, ".")
			second := pickOne(rng, name+"s.", name+"List.", strings.TrimSuffix(name, "s")+".", strings.ToLower(name[:1])+name[1:]+".", name+"Set.") + n + after + "=" + v
			return pickOne(rng, second, add(rng, k+"="+v, second+"x"))
		})
	}},
	{"parameter below or above another", func(m *mutant, rng *rand.Rand) bool {
		return changeParam(m, rng, func(k, v string) string {
			up, _, _ := strings.Cut(k, ".")
			return add(rng, k+"="+v, pickOne(rng, k+".1", k+".member.1", k+".Value", k+".", "."+k, up, up+".x", up+".1", k+".x.y")+"="+pickOne(rng, v+"x", ""))
		})
	}},
	{"stray separators", func(m *mutant, rng *rand.Rand) bool {
		m.setParams(pickOne(rng, m.params()+"&", "&"+m.params(), strings.Replace(m.params(), "&", "&&", 1), strings.Replace(m.params(), "&", ";", 1), m.params()+"&=x", m.params()+"&x", "?"+m.params()))
		return true
	}},
	{"second Action", func(m *mutant, rng *rand.Rand) bool {
		if !m.isForm() {
			return false
		}
		m.setBody([]byte(add(rng, string(m.body), pickOne(rng, "Action", "action", "%41ction", "ACTION", "Action%20", "Action.1", "Operation")+"="+pickOne(rng, siblings...))))
		return true
	}},
	{"Version changed", func(m *mutant, rng *rand.Rand) bool {
		if !m.isForm() {
			return false
		}
		was := string(m.body)
		m.setBody([]byte(regexp.MustCompile(`Version=[0-9-]+`).ReplaceAllString(was, pickOne(rng, "Version=2010-05-08", "", "Version=", "Version=9999-99-99", "Version=2012-06-01", "Version=2015-12-01", "version=2014-10-31", "Version=2014-10-31"))))
		return was != string(m.body)
	}},
	{"Action in the query", func(m *mutant, rng *rand.Rand) bool {
		m.addQuery(rng, pickOne(rng, "Action", "action", "%41ction")+"="+pickOne(rng, append(siblings, m.operation)...))
		return true
	}},
	{"form moved to the query", func(m *mutant, rng *rand.Rand) bool {
		if !m.isForm() {
			return false
		}
		m.query = string(m.body)
		if rng.IntN(2) == 0 {
			m.setBody(nil)
			m.method = pickOne(rng, "GET", "GET", "HEAD", "PUT")
			m.header.Del("Content-Type")
		}
		return true
	}},
}
