package awsapi_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// mutant is a request of the oracle with changes.
type mutant struct {
	method, host, path, query string
	header                    http.Header
	body                      []byte
	length                    int64
	protocol                  string
	operation                 string // as it was before
	done                      []string
}

func mutantOf(t testing.TB, s *sample) *mutant {
	r, body := s.request(t)
	path, query, _ := strings.Cut(r.Target, "?")
	return &mutant{method: r.Method, host: r.Host, path: path, query: query, header: r.Header.Clone(), body: body, length: r.ContentLength,
		protocol: s.Expect.Protocol, operation: s.Expect.Operation}
}

func (m *mutant) target() string {
	if m.query == "" {
		return m.path
	}
	return m.path + "?" + m.query
}

func (m *mutant) request() awsapi.Request {
	return awsapi.Request{Method: m.method, Host: m.host, Target: m.target(), Header: m.header, ContentLength: m.length, Account: "111122223333"}
}

func (m *mutant) setBody(b []byte) { m.body, m.length = b, int64(len(b)) }

func (m *mutant) isForm() bool { return m.protocol == "query" || m.protocol == "ec2" }

func (m *mutant) hasJSON() bool {
	return (m.protocol == "json" || m.protocol == "rest-json") && bytes.HasPrefix(bytes.TrimSpace(m.body), []byte("{"))
}

func (m *mutant) hasXML() bool {
	return m.protocol == "rest-xml" && bytes.HasPrefix(m.body, []byte("<"))
}

// addQuery puts a parameter at either end of the query.
func (m *mutant) addQuery(rng *rand.Rand, p string) { m.query = add(rng, m.query, p) }

func add(rng *rand.Rand, list, p string) string {
	switch {
	case list == "":
		return p
	case rng.IntN(2) == 0:
		return p + "&" + list
	}
	return list + "&" + p
}

// params is where this request's parameters are: a form, or the query.
func (m *mutant) params() string {
	if m.isForm() {
		return string(m.body)
	}
	return m.query
}

func (m *mutant) setParams(s string) {
	if m.isForm() {
		m.setBody([]byte(s))
	} else {
		m.query = s
	}
}

func pickOne[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// turnCase changes the case of one or all letters.
func turnCase(rng *rand.Rand, s string) string {
	switch rng.IntN(3) {
	case 0:
		return strings.ToLower(s)
	case 1:
		return strings.ToUpper(s)
	}
	b := []byte(s)
	for range 8 {
		i := rng.IntN(len(b))
		if c := b[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b[i] ^= 0x20
			break
		}
	}
	return string(b)
}

// percent encodes one byte of s that has no escape yet.
func percent(rng *rand.Rand, s string) string {
	for range 8 {
		i := rng.IntN(len(s))
		if s[i] != '%' && (i < 1 || s[i-1] != '%') && (i < 2 || s[i-2] != '%') {
			return s[:i] + fmt.Sprintf(pickOne(rng, "%%%02X", "%%%02x"), s[i]) + s[i+1:]
		}
	}
	return s
}

// changeParam changes one parameter of query or form.
func changeParam(m *mutant, rng *rand.Rand, change func(k, v string) string) bool {
	list := strings.Split(m.params(), "&")
	i := rng.IntN(len(list))
	k, v, _ := strings.Cut(list[i], "=")
	if k == "" {
		return false
	}
	list[i] = change(k, v)
	m.setParams(strings.Join(list, "&"))
	return true
}

// turnMaybe is turnCase for one in four.
func turnMaybe(rng *rand.Rand, s string) string {
	if rng.IntN(4) == 0 {
		return turnCase(rng, s)
	}
	return s
}

// change is a mutation. It reports whether it could be made.
type change struct {
	name string
	do   func(m *mutant, rng *rand.Rand) bool
}

var changes = slices.Concat(formChanges, jsonChanges, xmlChanges, cborChanges, gzipChanges, markChanges, headerChanges, urlChanges,
	[]change{{"none", func(*mutant, *rand.Rand) bool { return true }}})
