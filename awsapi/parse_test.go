package awsapi

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

var theCatalog = sync.OnceValues(catalog.Load)

// input is a document of some operation's input shape.
func input(t testing.TB, service, operation string) *document {
	t.Helper()
	c, err := theCatalog()
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Lookup(service)
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := s.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	d := new(document)
	d.init(shapes, s.Operations[operation].Input, nil)
	return d
}

// What the strict reader takes, the standard one takes and reads alike.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e3,true,null,"\u00e9\ud83d\ude00"]}`, `{"a":1,"a":2}`, `[]`, `{"a"`, "\"\xff\"", `01`, `1e400`, `{"a":{"b":[[]]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := new(document)
		d.init(nil, nil, nil)
		if err := d.readJSON(0, b); err != nil || len(bytes.Trim(b, " \t\r\n")) == 0 {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("took %q: %v", b, err)
		}
		if got := d.value(0); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is %v, read as %v", b, want, got)
		}
	})
}

// What the strict reader takes, the standard one reads alike, and no value of the
// form is lost in the tree.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"Action=A&Version=1", "A.member.1=x&A.member.2=y", "a=%zz", "a=1&a=2", "a=1;b=2", "%41=1", "a.b=1&a=2", "a+b=c+d",
		"InstanceId.1=i-1&InstanceId.2=i-2", "TagSpecification.1.Tag.2.Key=k&TagSpecification.1.Tag.1.Key=l", "InstanceId=&InstanceId.1=x", "a..b=1", ".=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		pairs, err := parsePairs(s, "form")
		if err != nil {
			return
		}
		v, err := url.ParseQuery(s)
		if err != nil {
			t.Fatalf("took %q: %v", s, err)
		}
		want := 0
		for _, p := range pairs {
			if len(v[p.key]) != 1 || v.Get(p.key) != p.value {
				t.Fatalf("%q reads %q as %q", s, p.key, p.value)
			}
			if p.key != "Action" && p.key != "Version" && p.value != "" {
				want++
			}
		}
		d := input(t, "ec2", "RunInstances")
		if err := d.readForm(pairs, nil); err != nil {
			return
		}
		got := 0
		texts(d.value(0), func(v string) {
			if v != "" {
				got++
			}
		})
		if got != want {
			t.Fatalf("%q has %d values, read as %v", s, want, d.value(0))
		}
	})
}

// texts calls f for every scalar in a tree.
func texts(n any, f func(string)) {
	switch v := n.(type) {
	case string:
		f(v)
	case json.Number:
		f(v.String())
	case bool:
		f("bool")
	case []any:
		for _, e := range v {
			texts(e, f)
		}
	case map[string]any:
		for _, e := range v {
			texts(e, f)
		}
	}
}

// Reading never panics, and what is taken has no key twice.
func FuzzCBOR(f *testing.F) {
	for _, v := range []any{map[string]any{"Namespace": "n", "MetricData": []any{map[string]any{"MetricName": "m", "Value": 1.5}}}, map[string]any{}, []any{1}, "x", nil} {
		b, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\xbf\x61a\x01\xff"))           // indefinite length
	f.Add([]byte("\xa2\x61a\x01\x61a\x02"))      // a key twice
	f.Add([]byte("\xa1\x61a\x7f\x61x\x61y\xff")) // a text in two pieces
	f.Add([]byte("\xa0\xa0"))                    // bytes behind
	f.Fuzz(func(t *testing.T, b []byte) {
		d := input(t, "cloudwatch", "PutMetricData")
		if err := d.readCBOR(b); err != nil || len(b) == 0 {
			return
		}
		var lenient any
		if err := cbor.Unmarshal(b, &lenient); err != nil {
			t.Fatalf("took %x: %v", b, err)
		}
	})
}

// Reading never panics and never takes what encoding/xml refuses.
func FuzzXML(f *testing.F) {
	for _, s := range []string{"<Delete><Object><Key>k</Key></Object><Object><Key>l</Key></Object><Quiet>true</Quiet></Delete>", "<a><b/></a>", "<!DOCTYPE a><a/>",
		"<Delete>text<Object/></Delete>", "<Delete><Object><Key>a<x/>b</Key></Object></Delete>", "<Delete xmlns='a'><Object xmlns='b'/></Delete>", "<a><?x?></a>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := input(t, "s3", "DeleteObjects")
		at, err := d.add(0, node{name: "Delete", shape: d.memberShape("Delete")})
		if err != nil {
			t.Fatal(err)
		}
		if d.readXML(at, b) == nil && !bytes.Contains(b, []byte("<")) {
			t.Fatalf("took %q", b)
		}
		d.value(0)
	})
}
