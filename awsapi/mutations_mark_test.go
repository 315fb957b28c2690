package awsapi_test

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// markChanges are of what tells protocol and operation, and of bodies whatever they
// are.
var markChanges = []change{
	{"query on an RPC", func(m *mutant, rng *rand.Rand) bool {
		if m.protocol != "json" && m.protocol != "smithy-rpc-v2-cbor" {
			return false
		}
		m.addQuery(rng, pickOne(rng, "x=1", "X-Amz-Target=x.y", "", "TableName=x", "Version=2011-06-15", "foo"))
		return true
	}},
	{"second target", func(m *mutant, rng *rand.Rand) bool {
		t := m.header.Get("X-Amz-Target")
		i := strings.LastIndexByte(t, '.')
		if i < 0 {
			m.header.Add("X-Amz-Target", pickOne(rng, "DynamoDB_20120810.DeleteTable", "AmazonSQS.DeleteQueue", "x"))
			return true
		}
		v := pickOne(rng, t, t[:i+1]+pickOne(rng, siblings...), strings.ToLower(t), "x."+t)
		if rng.IntN(2) == 0 {
			m.header["X-Amz-Target"] = []string{v, t}
		} else {
			m.header["X-Amz-Target"] = []string{t, v}
		}
		return true
	}},
	{"target spelled otherwise", func(m *mutant, rng *rand.Rand) bool {
		t := m.header.Get("X-Amz-Target")
		if t == "" {
			return false
		}
		m.header.Set("X-Amz-Target", pickOne(rng, turnCase(rng, t), t+","+t, t+" ", " "+t, t+".", "."+t, strings.Replace(t, ".", "..", 1), strings.ReplaceAll(t, ".", "#"), "x."+t, t+"\x00", strings.TrimLeft(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "com.amazonaws."+t, ""))
		return true
	}},
	{"another protocol's mark", func(m *mutant, rng *rand.Rand) bool {
		switch rng.IntN(4) {
		case 0:
			m.header.Add("Smithy-Protocol", pickOne(rng, "rpc-v2-cbor", "rpc-v2-json", "RPC-V2-CBOR"))
		case 1:
			m.path = "/service/X/operation/" + pickOne(rng, siblings...)
		case 2:
			m.header.Add("X-Amzn-Query-Mode", "true")
			m.header.Set("Content-Type", formType)
		case 3:
			m.setBody([]byte("Action=" + pickOne(rng, siblings...) + "&Version=2012-11-05"))
			m.header.Set("Content-Type", pickOne(rng, formType, "text/plain", "application/x-amz-json-1.0"))
		}
		return true
	}},
	{"content type", func(m *mutant, rng *rand.Rand) bool {
		ct := m.header.Get("Content-Type")
		v := pickOne(rng, "", "text/plain", "application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/cbor", formType, formType+"; charset=utf-16", formType+"; charset=utf-7",
			formType+"; charset=utf-8", formType+"; charset=utf-8; charset=utf-16", ct+"; charset=utf-8", "multipart/form-data; boundary=x", "application/xml", strings.ToUpper(ct), ct+",text/plain", "application/octet-stream")
		switch {
		case v == "":
			m.header.Del("Content-Type")
		case rng.IntN(5) == 0:
			m.header.Add("Content-Type", v)
		default:
			m.header.Set("Content-Type", v)
		}
		return true
	}},
	{"body's edges", func(m *mutant, rng *rand.Rand) bool {
		b := m.body
		if len(b) == 0 {
			m.setBody([]byte(pickOne(rng, "{}", "x", "<a/>", "\xa0", "Action=x", "\ufeff")))
			return true
		}
		cut := b[:rng.IntN(len(b))]
		m.setBody(pickOne(rng, append([]byte("\ufeff"), b...), slices.Concat(b, []byte("{}")), slices.Concat(b, b), slices.Concat(b, []byte("\x00")), slices.Concat(b, []byte(" \r\n")), slices.Concat([]byte(" \n"), b),
			slices.Concat(b, []byte("&Action=x")), cut, nil, slices.Concat(b, []byte("//x")), slices.Concat([]byte("\xff\xfe"), b), slices.Concat(b, []byte("<x/>")), []byte(strings.Join(strings.Split(string(b), ""), "\x00"))))
		return true
	}},
	{"method", func(m *mutant, rng *rand.Rand) bool {
		m.method = pickOne(rng, "GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "get", "POST ", "")
		return true
	}},
}
