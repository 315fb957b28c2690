package awsapi_test

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

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

// samples reads testdata/oracle.jsonl.gz, or the file that SALLYPORT_ORACLE
// names.
func samples(t testing.TB) []sample {
	name := "testdata/oracle.jsonl.gz"
	if v := os.Getenv("SALLYPORT_ORACLE"); v != "" {
		name = v
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var s sample
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOracle asks for every request's answer. Of what is asked for, only names
// that an operator configures are told beforehand.
func TestOracle(t *testing.T) {
	const cell = "discovered-cell1.timestream.example.amazonaws.com"
	id, err := awsapi.New(awsapi.CustomEndpoint{Host: cell, Service: "timestream-write"}, awsapi.CustomEndpoint{Host: cell, Service: "timestream-query"})
	if err != nil {
		t.Fatal(err)
	}
	type tally struct{ right, twin, uncarried, wrong int }
	tallies := map[string]*tally{}
	shown := 0
	for _, s := range samples(t) {
		req, body := s.request(t)
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
		t.Logf("%-20s right %d, right and not carried yet %d, as a twin %d, wrong %d", p, y.right, y.uncarried, y.twin, y.wrong)
	}
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

func identifier(t testing.TB) *awsapi.Identifier {
	t.Helper()
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	return id
}
