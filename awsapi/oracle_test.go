package awsapi_test

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
)

// sample is one signed request of an AWS SDK (botocore) with the right answer.
type sample struct {
	Request struct {
		Method     string            `json:"method"`
		URL        string            `json:"url"`
		Headers    map[string]string `json:"headers"`
		BodyBase64 string            `json:"bodyBase64"`
	} `json:"request"`
	Expect struct {
		Service, Operation, Region, Partition, Protocol, SigningName, SigningRegion, Auth string
		Params                                                                            map[string]any
	} `json:"expect"`
	Variant map[string]any `json:"variant"`
}

func (s *sample) request(t testing.TB) (awsapi.Request, []byte) {
	u, err := url.Parse(s.Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := base64.StdEncoding.DecodeString(s.Request.BodyBase64)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(s.Request.URL, "://")
	target := "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		target = rest[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	h := http.Header{}
	for k, v := range s.Request.Headers {
		h.Set(k, v)
	}
	n := int64(len(body))
	if v := h.Get("Content-Length"); v != "" {
		n, _ = strconv.ParseInt(v, 10, 64)
	}
	h.Del("Content-Length")
	return awsapi.Request{Method: s.Request.Method, Host: strings.ToLower(u.Host), Target: target, Header: h, ContentLength: n, Account: "111122223333"}, body
}

// samples are those of testdata/oracle.jsonl.gz, or of the file that
// SALLYPORT_ORACLE names. They are shared, and nobody changes them.
func samples(t testing.TB) []sample {
	t.Helper()
	list, err := theSamples()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var theSamples = sync.OnceValues(func() ([]sample, error) {
	name := "testdata/oracle.jsonl.gz"
	if v := os.Getenv("SALLYPORT_ORACLE"); v != "" {
		name = v
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var out []sample
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var s sample
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, sc.Err()
})

// TestOracle asks for every request's answer. Of what is asked for, only names
// that an operator configures are told beforehand.
func TestOracle(t *testing.T) {
	const cell = "discovered-cell1.timestream.example.amazonaws.com"
	id, err := awsapi.New(awsapi.CustomEndpoint{Host: cell, Service: "timestream-write"}, awsapi.CustomEndpoint{Host: cell, Service: "timestream-query"})
	if err != nil {
		t.Fatal(err)
	}
	type tally struct{ right, twin, uncarried, wrong, params int }
	tallies := map[string]*tally{}
	shown := 0
	for _, s := range samples(t) {
		req, body := s.request(t)
		req.Account = "123456789012" // the oracle's
		e := s.Expect
		ty := tallies[e.Protocol]
		if ty == nil {
			ty = &tally{}
			tallies[e.Protocol] = ty
		}
		call, err := identify(id, req, body)
		switch {
		case err != nil:
			ty.wrong++
			if shown++; shown < 60 {
				t.Errorf("%s:%s %s %s %v: %v", e.Service, e.Operation, s.Request.Method, s.Request.URL, s.Variant, err)
			}
			continue
		}
		name := e.Service + ":" + e.Operation
		isTwin := slices.Contains(call.Twins, name)
		region := e.SigningRegion
		partition := call.Partition
		if partitionUntold(&s) {
			partition = e.Partition
		}
		switch {
		case call.Service+":"+call.Operation != name && !isTwin, string(call.Protocol) != e.Protocol, partition != e.Partition,
			e.SigningName != "" && call.SigningName != e.SigningName, region != "" && call.SigningRegion != region:
			ty.wrong++
			if shown++; shown < 60 {
				t.Errorf("%s %s (%s %s %s %s): got %s:%s twins %v %s %s %s %s; %s %s", name, e.Protocol, e.Partition, e.SigningName, region, e.Region,
					call.Service, call.Operation, call.Twins, call.Protocol, call.Partition, call.SigningName, call.SigningRegion, s.Request.Method, s.Request.URL)
			}
		case !isTwin && !sameParams(&s, call):
			ty.params++
			if shown++; shown < 60 {
				t.Errorf("%s %s %s: parameters: %s", name, e.Protocol, s.Request.URL, firstDifference(&s, call))
			}
		case call.Uncarried() != nil:
			ty.uncarried++
			if !call.Canonical().IsZero() {
				t.Errorf("%s %s: not carried, and yet there is something to sign", name, s.Request.URL)
			}
		case isTwin:
			ty.twin++
		default:
			ty.right++
		}
	}
	for p, y := range tallies {
		t.Logf("%-20s right %d, right and not carried yet %d, as a twin %d, wrong %d, wrong parameters %d", p, y.right, y.uncarried, y.twin, y.wrong, y.params)
	}
}

// sameParams compares a call's parameters with those that the client was given.
// Times and the bodies that stream are left out, as is what the client fills in or
// computes itself (account ids that come in the host's name, checksums, tokens).
func sameParams(s *sample, call *awsapi.Call) bool { return firstDifference(s, call) == "" }

func firstDifference(s *sample, call *awsapi.Call) string {
	got := call.Params()
	for name, want := range s.Expect.Params {
		if !sameParam(got[name], want) {
			if _, there := got[name]; !there && notInRequest(s, want) {
				continue
			}
			a, _ := json.Marshal(got[name])
			b, _ := json.Marshal(want)
			i := 0
			for i < len(a) && i < len(b) && a[i] == b[i] {
				i++
			}
			i = max(0, i-20)
			return fmt.Sprintf("%s: got ...%.100s, want ...%.100s", name, a[min(i, len(a)):], b[min(i, len(b)):])
		}
	}
	return ""
}

// notInRequest: a member that the client keeps to itself, that is in a header which
// never goes on or in a body that streams, or that is empty and so not sent at all.
func notInRequest(s *sample, want any) bool {
	switch v := want.(type) {
	case string:
		body, _ := base64.StdEncoding.DecodeString(s.Request.BodyBase64)
		sent := s.Request.URL + string(body)
		for name, value := range s.Request.Headers {
			if l := strings.ToLower(name); l != "x-amzn-trace-id" && l != "x-amz-content-sha256" && l != "x-amz-sso_bearer_token" {
				sent += value
			}
		}
		return !strings.Contains(sent, v) || strings.Contains(s.Request.URL, "://"+strings.ToLower(v)+".")
	case float64: // ContentLength
		return s.Expect.Service == "s3"
	case map[string]any:
		if v["__bytes__"] != nil || v["__stream__"] != nil {
			return true
		}
		for name := range v { // the events of a two-way stream
			if strings.HasSuffix(strings.ToLower(name), "event") || name == "chunk" {
				return true
			}
		}
	}
	return isEmpty(want)
}

// isEmpty: what botocore does not send in the query protocols and in XML.
func isEmpty(want any) bool {
	switch v := want.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !isEmpty(e) })
	case map[string]any:
		for _, e := range v {
			if !isEmpty(e) {
				return false
			}
		}
		return v["__bytes__"] == nil
	}
	return want == nil || want == ""
}

func sameParam(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		if b, ok := w["__bytes__"]; ok {
			return got == b
		}
		g, ok := got.(map[string]any)
		if !ok {
			return isEmpty(want) && got == nil
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return false
			}
		}
		for k, e := range w {
			if !sameParam(g[k], e) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return isEmpty(want) && len(g) == 0
		}
		for i := range w {
			if !sameParam(g[i], w[i]) {
				return false
			}
		}
		return true
	case float64:
		n, ok := got.(json.Number)
		if !ok {
			return false
		}
		f, err := n.Float64()
		return err == nil && f == w
	}
	if got == want {
		return true
	}
	g, ok := got.(string)
	w, isText := want.(string)
	if !ok || !isText {
		return false
	}
	a, err := time.Parse(time.RFC3339, g)
	b, err2 := time.Parse(time.RFC3339, w)
	return err == nil && err2 == nil && a.Equal(b)
}

// partitionUntold: a name that two partitions share, signed for all regions or not
// at all. Nothing in the request tells the partition; the first is taken.
func partitionUntold(s *sample) bool {
	return (strings.HasPrefix(s.Expect.Auth, "AWS4-ECDSA") || s.Expect.Auth == "bearer") && !strings.Contains(s.Request.URL, s.Expect.Region)
}

func identify(id *awsapi.Identifier, req awsapi.Request, body []byte) (*awsapi.Call, error) {
	head, err := id.Head(req)
	if err != nil {
		return nil, err
	}
	if head.Streams() {
		body = nil
	}
	return head.Call(body)
}

// theIdentifier is what all tests share: the catalog's index and its services are
// read once.
var theIdentifier = sync.OnceValues(func() (*awsapi.Identifier, error) { return awsapi.New() })

func identifier(t testing.TB) *awsapi.Identifier {
	t.Helper()
	id, err := theIdentifier()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// BenchmarkOracle identifies each request of the oracle in turn; ns/request and
// allocs/request are medians over the requests, each measured by itself.
func BenchmarkOracle(b *testing.B) {
	id := identifier(b)
	type one struct {
		req  awsapi.Request
		body []byte
	}
	var all []one
	for _, s := range samples(b) {
		req, body := s.request(b)
		if _, err := identify(id, req, body); err == nil {
			all = append(all, one{req, body})
		}
	}
	const rounds = 20
	times, allocs := make([]float64, len(all)), make([]float64, len(all))
	for b.Loop() {
		for i, o := range all {
			var before, after runtime.MemStats
			if allocs[i] == 0 {
				runtime.ReadMemStats(&before)
			}
			start := time.Now()
			for range rounds {
				if _, err := identify(id, o.req, o.body); err != nil {
					b.Fatal(err)
				}
			}
			times[i] = float64(time.Since(start).Nanoseconds()) / rounds
			if allocs[i] == 0 {
				runtime.ReadMemStats(&after)
				allocs[i] = float64(after.Mallocs-before.Mallocs) / rounds
			}
		}
	}
	slices.Sort(times)
	slices.Sort(allocs)
	b.ReportMetric(times[len(times)/2], "ns/request")
	b.ReportMetric(times[len(times)*99/100], "ns/p99")
	b.ReportMetric(allocs[len(allocs)/2], "allocs/request")
	b.ReportMetric(0, "ns/op")
}
