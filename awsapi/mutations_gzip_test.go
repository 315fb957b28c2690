package awsapi_test

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"net/http"
)

// putMetrics makes m a call of CloudWatch's PutMetricData, which clients may
// compress, in one of its three protocols, or of an operation beside it.
func putMetrics(m *mutant, rng *rand.Rand) {
	op := pickOne(rng, "PutMetricData", "PutMetricData", "PutMetricData", "PutMetricData", "PutMetricStream")
	m.operation, m.method, m.host, m.path, m.query = op, "POST", "monitoring.us-east-1.amazonaws.com", "/", ""
	m.header = http.Header{"Authorization": {auth("us-east-1", "monitoring")}}
	switch m.protocol = pickOne(rng, "json", "query", "smithy-rpc-v2-cbor"); m.protocol {
	case "json":
		m.header.Set("Content-Type", "application/x-amz-json-1.0")
		m.header.Set("X-Amz-Target", "GraniteServiceVersion20100801."+op)
		m.setBody([]byte(`{"Namespace":"apps","MetricData":[{"MetricName":"m","Value":1.5,"Unit":"Count","Dimensions":[{"Name":"n","Value":"v"}]}]}`))
	case "query":
		m.header.Set("Content-Type", formType)
		m.setBody([]byte("Action=" + op + "&Version=2010-08-01&Namespace=apps&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1.5&MetricData.member.1.Dimensions.member.1.Name=n&MetricData.member.1.Dimensions.member.1.Value=v"))
	default:
		m.path = "/service/GraniteServiceVersion20100801/operation/" + op
		m.header.Set("Content-Type", "application/cbor")
		m.header.Set("Smithy-Protocol", "rpc-v2-cbor")
		w := cborWriter{}
		w.node(node{names: []string{"Namespace", "MetricData"}, kids: []node{{leaf: true, text: "apps"}, {list: true, kids: []node{{names: []string{"MetricName", "Value"},
			kids: []node{{leaf: true, text: "m"}, {leaf: true, raw: []byte("\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00")}}}}}}})
		m.setBody(w.b)
	}
}

// squeeze is b in gzip, at any level.
func squeeze(rng *rand.Rand, b []byte, header gzip.Header) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, pickOne(rng, gzip.NoCompression, gzip.BestSpeed, gzip.HuffmanOnly, gzip.DefaultCompression))
	if err != nil {
		return nil
	}
	z.Header = header
	_, _ = z.Write(b) // to memory
	_ = z.Close()
	return out.Bytes()
}

// gzipChanges are of bodies that are compressed.
var gzipChanges = []change{
	{"metrics", func(m *mutant, rng *rand.Rand) bool {
		putMetrics(m, rng)
		return true
	}},
	{"metrics, compressed", func(m *mutant, rng *rand.Rand) bool {
		putMetrics(m, rng)
		m.header.Set("Content-Encoding", "gzip")
		m.setBody(squeeze(rng, m.body, gzip.Header{}))
		return true
	}},
	{"metrics, changed and compressed", func(m *mutant, rng *rand.Rand) bool {
		putMetrics(m, rng)
		list := formChanges
		switch m.protocol {
		case "json":
			list = jsonChanges
		case "smithy-rpc-v2-cbor":
			list = cborChanges
		}
		if !pickOne(rng, list...).do(m, rng) {
			return false
		}
		m.header.Set("Content-Encoding", "gzip")
		m.setBody(squeeze(rng, m.body, gzip.Header{}))
		return true
	}},
	{"metrics, compressed oddly", func(m *mutant, rng *rand.Rand) bool {
		putMetrics(m, rng)
		m.header.Set("Content-Encoding", "gzip")
		plain := m.body
		one := squeeze(rng, plain, gzip.Header{})
		switch rng.IntN(9) {
		case 0: // a second member
			one = append(one, squeeze(rng, pickOne(rng, nil, plain, []byte("&Namespace=other")), gzip.Header{})...)
		case 1: // data behind, in the clear
			one = append(one, pickOne(rng, "\x00", "&Namespace=other", "{}", "\xa0")...)
		case 2:
			one = one[:rng.IntN(len(one))]
		case 3:
			one[rng.IntN(len(one))] ^= 1 << rng.IntN(8)
		case 4: // data in the header
			one = squeeze(rng, plain, pickOne(rng, gzip.Header{Name: "&Namespace=other&"}, gzip.Header{Comment: "&Action=DeleteAlarms&"}, gzip.Header{Extra: []byte("&Namespace=other&")}))
		case 5: // twice
			one = squeeze(rng, one, gzip.Header{})
		case 6: // not at all
			one = plain
		case 7: // two members that are one body
			at := rng.IntN(len(plain))
			one = append(squeeze(rng, plain[:at], gzip.Header{}), squeeze(rng, plain[at:], gzip.Header{})...)
		case 8: // more than is judged
			one = squeeze(rng, append(plain, bytes.Repeat([]byte(" "), 1<<16)...), gzip.Header{})
		}
		m.setBody(one)
		return true
	}},
	{"metrics, encoding spelled otherwise", func(m *mutant, rng *rand.Rand) bool {
		putMetrics(m, rng)
		m.header["Content-Encoding"] = pickOne(rng, []string{"GZIP"}, []string{"gzip", "gzip"}, []string{"x-gzip"}, []string{"gzip, identity"}, []string{"identity"}, []string{"gzip "}, []string{""}, []string{"identity", "gzip"}, []string{"deflate"})
		if rng.IntN(3) > 0 {
			m.setBody(squeeze(rng, m.body, gzip.Header{}))
		}
		return true
	}},
}
