package mask

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func BenchmarkApply(b *testing.B) {
	var js, xs strings.Builder
	js.WriteString(`{"Parameters":[`)
	xs.WriteString(`<R><XResult><Parameters>`)
	for i := range 1000 {
		if i > 0 {
			js.WriteByte(',')
		}
		fmt.Fprintf(&js, `{"Name":"/app/param-%04d","Type":"SecureString","Value":"secret-%04d-abcdefghijklmnopqrstuvwxyz","Version":%d,"ARN":"arn:aws:ssm:eu-west-1:111122223333:parameter/app/param-%04d","DataType":"text"}`, i, i, i, i)
		fmt.Fprintf(&xs, `<member><Name>/app/param-%04d</Name><Type>SecureString</Type><Value>secret-%04d-abcdefghijklmnopqrstuvwxyz</Value><ARN>arn:aws:ssm:eu-west-1:111122223333:parameter/app/param-%04d</ARN></member>`, i, i, i)
	}
	js.WriteString(`]}`)
	xs.WriteString(`</Parameters></XResult></R>`)
	var cs []any
	for i := range 1000 {
		cs = append(cs, obj("Name", fmt.Sprintf("/app/param-%04d", i), "Type", "SecureString", "Value", fmt.Sprintf("secret-%04d-abcdefghijklmnopqrstuvwxyz", i), "Version", i,
			"ARN", fmt.Sprintf("arn:aws:ssm:eu-west-1:111122223333:parameter/app/param-%04d", i), "LastModifiedDate", tagged(1, 1.7e9), "DataType", "text"))
	}
	cb := string(obj("Parameters", arr(cs...)))
	small := `{"ARN":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf","Name":"db","SecretString":"{\"user\":\"app\",\"password\":\"hunter2\"}","VersionStages":["AWSCURRENT"],"Pad":"` + strings.Repeat("x", 800) + `"}`
	list := Member{Path: "Parameters.*.Value", In: "body", Type: "string", XML: "XResult/Parameters/member/Value"}
	for name, c := range map[string]struct {
		in   Input
		body string
	}{
		"json-1KB":      {Input{Protocol: "json", Members: []Member{body("SecretString", "string")}}, small},
		"json-1KB-rule": {Input{Protocol: "json", Paths: paths("SecretString.password")}, small},
		"json-200KB":    {Input{Protocol: "json", Members: []Member{list}}, js.String()},
		"xml-200KB":     {Input{Protocol: "query", Members: []Member{list}}, xs.String()},
		"cbor-200KB":    {Input{Protocol: rpcCBOR, Members: []Member{list}}, cb},
	} {
		b.Run(name, func(b *testing.B) {
			m := New(Options{})
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			p, err := m.Plan(c.in)
			if err != nil {
				b.Fatal(err)
			}
			h := http.Header{"Content-Length": {strconv.Itoa(len(c.body))}, "Content-Type": {"application/json"}, "X-Amzn-Requestid": {"x"}}
			for b.Loop() {
				if _, err := p.Apply(b.Context(), 200, h, bytes.NewReader([]byte(c.body))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEvents is one event of a model's answer with detectors on.
func BenchmarkEvents(b *testing.B) {
	const n = 2000
	p := eventsPlan(b, Options{Scanner: defaults(b)}, Input{})
	in := bytes.Repeat(jsonEvent("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":" word and"},"p":"abcdefghijk"}`).frame(b), n)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := masked(b, p, bytes.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
}

// BenchmarkObject is a log file with detectors on.
func BenchmarkObject(b *testing.B) {
	p := objectPlan(b)
	in := strings.Repeat("2026-01-02T03:04:05Z INFO request id=abc-123 took 35ms path=/a/b/c\n", 1<<14)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		res, err := p.Apply(b.Context(), 200, http.Header{}, strings.NewReader(in))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Stream); err != nil {
			b.Fatal(err)
		}
	}
}
