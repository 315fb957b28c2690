package awsapi_test

import (
	"bytes"
	"compress/gzip"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// headerChanges are of headers, and of who asks.
var headerChanges = []change{
	{"authentication in the query", func(m *mutant, rng *rand.Rand) bool {
		m.addQuery(rng, turnMaybe(rng, pickOne(rng, "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=a%2F20260101%2Fus-east-1%2Fs3%2Faws4_request", "X-Amz-Signature=canary", "X-Amz-Security-Token=canary", "X-Amz-Expires=1",
			"X-Amz-SignedHeaders=host", "X-Amz-Date=20260101T000000Z", "AWSAccessKeyId=canary", "Signature=canary", "X-Amz-Region-Set=*", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", "X-Amz-S3session-Token=canary")))
		if rng.IntN(2) == 0 {
			m.header.Del("Authorization")
		}
		return true
	}},
	{"authentication in headers", func(m *mutant, rng *rand.Rand) bool {
		h := pickOne(rng, [2]string{"Authorization", "Bearer canary"}, [2]string{"Authorization", auth("us-east-1", "s3")}, [2]string{"Authorization", "AWS canary:x"}, [2]string{"X-Amz-Security-Token", "canary"}, [2]string{"X-Amz-Date", "canary"},
			[2]string{"X-Amz-S3session-Token", "canary"}, [2]string{"X-Amz-Sso_bearer_token", "canary"}, [2]string{"X-Amz-Bearer-Token", "canary"}, [2]string{"Cookie", "canary"}, [2]string{"Proxy-Authorization", "canary"}, [2]string{"Authorization", "AWS4-HMAC-SHA256 canary"})
		if rng.IntN(2) == 0 {
			m.header.Set(h[0], h[1])
		} else {
			m.header.Add(h[0], h[1])
		}
		return true
	}},
	{"no authentication", func(m *mutant, _ *rand.Rand) bool {
		m.header.Del("Authorization")
		return true
	}},
	{"header of a hop", func(m *mutant, rng *rand.Rand) bool {
		h := pickOne(rng, [2]string{"X-Http-Method-Override", "DELETE"}, [2]string{"X-Method-Override", "DELETE"}, [2]string{"X-Forwarded-For", "10.0.0.1"}, [2]string{"X-Forwarded-Host", "evil"}, [2]string{"Forwarded", "for=x"}, [2]string{"Via", "x"},
			[2]string{"X-Amzn-Trace-Id", "x"}, [2]string{"Te", "trailers"}, [2]string{"Trailer", "x"}, [2]string{"Origin", "https://evil"}, [2]string{"X-Original-Url", "/x"}, [2]string{"X-Rewrite-Url", "/x"}, [2]string{"X-Evil", "x"},
			[2]string{"Upgrade", "websocket"}, [2]string{"Expect", "100-continue"}, [2]string{"Host", "evil"}, [2]string{"Transfer-Encoding", "chunked"}, [2]string{"Content-Length", "3"}, [2]string{"X-Amz-Server-Side-Encryption-Evil", "x"})
		m.header.Add(h[0], h[1])
		return true
	}},
	{"connection", func(m *mutant, rng *rand.Rand) bool {
		m.header.Add("Connection", pickOne(rng, "keep-alive", "close", "x-amz-target", "x-amz-expected-bucket-owner, close", "content-type", "Upgrade", "keep-alive,", "TE"))
		return true
	}},
	{"underscores", func(m *mutant, rng *rand.Rand) bool {
		m.header[pickOne(rng, "X_Amz_Target", "X-Amz_Target", "X_amz_copy_source", "Content_Type", "X_Amz_Security_Token", "X-Amz-Meta-A_b", "Smithy_Protocol")] = []string{pickOne(rng, "DynamoDB_20120810.DeleteTable", "/b/k")}
		return true
	}},
	{"header twice", func(m *mutant, rng *rand.Rand) bool {
		names := slices.Sorted(maps.Keys(m.header))
		if len(names) == 0 {
			return false
		}
		k := pickOne(rng, names...)
		m.header[k] = append(m.header[k], pickOne(rng, m.header[k][0], m.header[k][0]+"x", ""))
		return true
	}},
	{"header's value", func(m *mutant, rng *rand.Rand) bool {
		names := slices.Sorted(maps.Keys(m.header))
		if len(names) == 0 {
			return false
		}
		k := pickOne(rng, names...)
		v := m.header[k][0]
		m.header[k] = []string{pickOne(rng, v+"\r\nX-Evil: 1", v+"\x00", v+" ", "\t"+v, v+"\xe9", v+", x", strings.ToUpper(v), "", v+"%2F", v+"+x")}
		return true
	}},
	{"content encoding", func(m *mutant, rng *rand.Rand) bool {
		ce := pickOne(rng, "gzip", "identity", "aws-chunked", "gzip, identity", "deflate", "br", "GZIP", "gzip,gzip", "")
		if rng.IntN(2) == 0 && strings.EqualFold(ce, "gzip") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(m.body)
			z.Close()
			if rng.IntN(3) == 0 {
				b.WriteString(pickOne(rng, "x", b.String()))
			}
			m.setBody(b.Bytes())
		}
		m.header.Set("Content-Encoding", ce)
		return true
	}},
	{"payload", func(m *mutant, rng *rand.Rand) bool {
		m.header.Set("X-Amz-Content-Sha256", pickOne(rng, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", strings.Repeat("0", 64), "x", "unsigned-payload", strings.Repeat("A", 64)))
		if rng.IntN(2) == 0 {
			m.header.Set("Content-Encoding", "aws-chunked")
			m.header.Set("X-Amz-Decoded-Content-Length", pickOne(rng, "1", "-1", "99999", "x"))
			m.header.Set("X-Amz-Trailer", pickOne(rng, "x-amz-checksum-crc32", "x-amz-copy-source", "authorization"))
		}
		return true
	}},
	{"copy source", func(m *mutant, rng *rand.Rand) bool {
		m.header.Set(pickOne(rng, "X-Amz-Copy-Source", "X-Amz-Copy-Source", "X-Amz-Rename-Source"), pickOne(rng, "/other-bucket/key", "other-bucket/k%2Fx?versionId=3", "arn:aws:s3:us-east-1:444455556666:accesspoint/ap/object/k", "%2Fother-bucket/key", "", "other-bucket", "//a/b", "%zz"))
		return true
	}},
	{"S3 header", func(m *mutant, rng *rand.Rand) bool {
		h := pickOne(rng, [2]string{"X-Amz-Acl", "public-read"}, [2]string{"X-Amz-Grant-Read", "id=x"}, [2]string{"X-Amz-Website-Redirect-Location", "/x"}, [2]string{"X-Amz-Tagging", "a=b"}, [2]string{"X-Amz-Bypass-Governance-Retention", "true"},
			[2]string{"X-Amz-Expected-Bucket-Owner", "444455556666"}, [2]string{"X-Amz-Meta-X", "y"}, [2]string{"X-Amz-Mfa", "x"}, [2]string{"X-Amz-Object-Lock-Mode", "COMPLIANCE"})
		m.header.Add(h[0], h[1])
		return true
	}},
}
