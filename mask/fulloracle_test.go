package mask

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// wire is bytes on the wire: text, or base64 where they are none.
type wire []byte

func (w *wire) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*w = wire(text)
		return nil
	}
	var odd struct{ Base64 []byte }
	err := json.Unmarshal(b, &odd)
	*w = odd.Base64
	return err
}

type leaf struct {
	Path string
	Wire []wire
}

// exchange is a request of a client and AWS's answer, as botocore's serializers make
// them, with a canary in every secret member and a marker in every other.
type exchange struct {
	Identity struct{ Service, Operation, Protocol, Kind string }
	Request  struct {
		Method, URL string
		Headers     map[string]string
		BodyBase64  []byte
	}
	Response struct {
		Status     int
		Headers    map[string]string
		BodyBase64 []byte
	}
	Expect  struct{ MustDisappear, MustSurvive []leaf }
	Variant struct{ Style string }
}

func (e *exchange) name() string {
	return fmt.Sprintf("%s:%s/%s/%s", e.Identity.Service, e.Identity.Operation, e.Identity.Protocol, e.Variant.Style)
}

// call identifies the exchange's request. A client of an operation with several
// protocols sends its own; the answer's is told by its catalog row.
func (e *exchange) call(id *awsapi.Identifier) (*awsapi.Call, error) {
	u, err := url.Parse(e.Request.URL)
	if err != nil {
		return nil, err
	}
	_, target, _ := strings.Cut(e.Request.URL, u.Host)
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	h := http.Header{}
	for k, v := range e.Request.Headers {
		h.Set(k, v)
	}
	h.Del("Content-Length")
	body := e.Request.BodyBase64
	head, err := id.Head(awsapi.Request{Method: e.Request.Method, Host: strings.ToLower(u.Host), Target: target, Header: h, ContentLength: int64(len(body)), Account: "123456789012"})
	if err != nil {
		return nil, err
	}
	if head.Streams() {
		body = nil
	}
	return head.Call(body)
}

// TestFullOracle masks the answers of a file that SALLYPORT_MASK_ORACLE names, each
// with the plan that its request leads to. Where TestSamples has a few operations
// and the catalog rows they had when it was made, this has all, and the catalog.
func TestFullOracle(t *testing.T) {
	name := os.Getenv("SALLYPORT_MASK_ORACLE")
	if name == "" {
		t.Skip("SALLYPORT_MASK_ORACLE names no file of answers; the mask oracle's generator makes one: gen.py --seed N --out responses.jsonl.gz")
	}
	const cell = "discovered-cell1.timestream.example.amazonaws.com"
	id, err := awsapi.New(awsapi.CustomEndpoint{Host: cell, Service: "timestream-write"}, awsapi.CustomEndpoint{Host: cell, Service: "timestream-query"})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	canaries, markers, failed := 0, 0, 0
	exchanges(t, name, func(e *exchange) {
		kind := fmt.Sprintf("%-20s %-8s %-11s ", e.Identity.Protocol, e.Variant.Style, e.Identity.Kind)
		verdict, err := e.check(id)
		counts[kind+verdict]++
		switch {
		case verdict == "not carried" || verdict == "not identified":
			t.Logf("%s: %s: %v", e.name(), verdict, err)
		case err != nil:
			if failed++; failed <= 50 {
				t.Errorf("%s: %s: %v", e.name(), verdict, err)
			}
		}
		if verdict == "masked" {
			canaries += len(e.Expect.MustDisappear)
			markers += len(e.Expect.MustSurvive)
		}
	})
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%s %d", k, counts[k])
	}
	t.Logf("%d canaries gone, %d markers kept", canaries, markers)
	if canaries == 0 {
		t.Error("no answer was masked")
	}
}

func exchanges(tb testing.TB, name string, each func(*exchange)) {
	tb.Helper()
	file, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 256<<20)
	for sc.Scan() {
		var e exchange
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			tb.Fatal(err)
		}
		each(&e)
	}
	if sc.Err() != nil {
		tb.Fatal(sc.Err())
	}
}

// check masks the exchange's answer and says what became of it.
func (e *exchange) check(id *awsapi.Identifier) (verdict string, err error) {
	call, err := e.call(id)
	if err != nil {
		return "not identified", err
	}
	if own := call.Service + ":" + call.Operation; own != e.Identity.Service+":"+e.Identity.Operation && !slices.Contains(call.Twins, e.Identity.Service+":"+e.Identity.Operation) {
		return "not identified", fmt.Errorf("it is taken for %s", own)
	}
	if call.Uncarried() != nil {
		return "not carried", fmt.Errorf("%w", call.Uncarried())
	}
	call = e.inProtocol(call)
	p, err := New(Options{}).PlanCall(call, nil, Redact, nil)
	if err != nil {
		if e.Identity.Kind == "eventstream" {
			return "refused", nil
		}
		return "refused", err
	}
	h := http.Header{}
	for k, v := range e.Response.Headers {
		h.Set(k, v)
	}
	h2, masked, _, err := run(p, e.Response.Status, h, e.Response.BodyBase64)
	if err != nil {
		return "withheld", err
	}
	plain, before := readable(h2, masked), readable(h, e.Response.BodyBase64)
	sent := append([]byte(fmt.Sprint(h)+"\n"), before...)
	seen := append([]byte(fmt.Sprint(h2)+"\n"), masked...)
	for _, l := range e.Expect.MustDisappear {
		for _, w := range l.Wire {
			if bytes.Contains(seen, w) || bytes.Contains(plain, w) {
				return "leaked", fmt.Errorf("%s: %q is still there", l.Path, w)
			}
		}
	}
	for _, l := range e.Expect.MustSurvive {
		if !slices.ContainsFunc(l.Wire, func(w wire) bool {
			return bytes.Contains(seen, w) || bytes.Contains(plain, w) || !bytes.Contains(sent, w)
		}) {
			return "damaged", fmt.Errorf("%s: %q is gone", l.Path, l.Wire)
		}
	}
	if parses(e.Identity.Protocol, e.Identity.Kind, before) && !parses(e.Identity.Protocol, e.Identity.Kind, plain) {
		return "broken", errors.New("it no longer parses")
	}
	_, again, _, err := run(p, e.Response.Status, h2, masked)
	if err != nil || !bytes.Equal(again, masked) {
		return "not stable", fmt.Errorf("masking twice differs: %w", err)
	}
	return "masked", nil
}

// readable is a body as the client decodes it, or as it is where it cannot: among the
// oracle's markers are values of Content-Encoding.
func readable(h http.Header, body []byte) []byte {
	if plain, _, err := decodeBody(h, body, 1<<30); err == nil {
		return plain
	}
	return body
}

// inProtocol is the call as a client of the answer's protocol makes it: the oracle has
// one request for an operation, and an answer in each protocol.
func (e *exchange) inProtocol(call *awsapi.Call) *awsapi.Call {
	c := *call
	c.Protocol = awsapi.Protocol(e.Identity.Protocol)
	return &c
}

// parses reports that a body is a document of its format.
func parses(protocol, kind string, body []byte) bool {
	switch {
	case kind == "eventstream":
		return frames(body)
	case isJSON(protocol):
		return json.Valid(body)
	case isCBOR(protocol):
		_, err := (&walk{found: &findings{}}).cbor(body, nil, nil)
		return err == nil
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		if _, err := d.Token(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// frames reports that body is a sequence of event stream messages, by their lengths.
func frames(body []byte) bool {
	for len(body) > 0 {
		if len(body) < 16 {
			return false
		}
		n := int64(binary.BigEndian.Uint32(body))
		if n < 16 || n > int64(len(body)) {
			return false
		}
		body = body[n:]
	}
	return true
}
