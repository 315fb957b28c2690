package jit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/secret"
)

// Whatever is sent is signed as the SDK would sign it for a client that makes the
// same request: odd paths, queries and headers, S3 and other services. More rounds
// than make test's: SALLYPORT_SIGN_ROUNDS=1000000.
func TestSignedLikeTheSDK(t *testing.T) {
	rounds := 20_000
	if s := os.Getenv("SALLYPORT_SIGN_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	g := &generator{rand.New(rand.NewPCG(seed, 2))}
	client := v4.NewSigner()
	for i := range rounds {
		m, theirs := g.request()
		cred := &Credential{accessKeyID: "ASIA" + g.text(alphanumeric, 16), secretKey: secret.New(g.text(alphanumeric, 40)), sessionToken: secret.New(g.text(alphanumeric+"+/=", 1+g.IntN(400)))}
		at := time.Unix(g.Int64N(4_000_000_000), 0)

		ours, err := sign(t.Context(), m, nil, cred, at)
		if err != nil {
			t.Fatalf("seed %d, round %d: %+v: %v", seed, i, m, err)
		}
		digest := theirs.Header.Get("X-Amz-Content-Sha256")
		if digest == "" {
			digest = digestOf(m.body)
		}
		creds := aws.Credentials{AccessKeyID: cred.accessKeyID, SecretAccessKey: cred.secretKey.Reveal(), SessionToken: cred.sessionToken.Reveal()}
		if err := client.SignHTTP(context.Background(), creds, theirs, digest, m.name, m.region, at.UTC(), func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = m.name == "s3"
		}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"} {
			if ours.Header.Get(name) != theirs.Header.Get(name) {
				t.Fatalf("seed %d, round %d: %s %s?%s to %s with %q\n%s: %s\nthe SDK's: %s", seed, i, m.method, m.rawPath, m.rawQuery, m.name, m.header, name, ours.Header.Get(name), theirs.Header.Get(name))
			}
		}
		target := m.rawPath
		if m.rawQuery != "" {
			target += "?" + m.rawQuery
		}
		if ours.URL.RequestURI() != target {
			t.Fatalf("seed %d, round %d: %s is sent as %s", seed, i, target, ours.URL.RequestURI())
		}
	}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type generator struct{ *rand.Rand }

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (g *generator) text(from string, n int) string {
	runes := []rune(from)
	var b strings.Builder
	for range n {
		b.WriteRune(runes[g.IntN(len(runes))])
	}
	return b.String()
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// request is one request twice: as it is sent on, and as the SDK of a client would
// have it before it signs.
func (g *generator) request() (message, *http.Request) {
	odd := alphanumeric + "////....-_~ !\"#$%&'()*+,:;<=>?@[]^`{|}äß€😀\u0000\u0001\u007f"
	name := g.pick("s3", "s3", "lambda", "dynamodb", "execute-api")
	m := message{
		method: g.pick("GET", "PUT", "POST", "DELETE", "HEAD"), name: name, region: g.pick("us-east-1", "eu-central-1", "cn-north-1"), header: http.Header{},
		doubleEncode: name != "s3", payload: awsapi.PayloadAbsent,
	}
	m.host = g.pick("", "bucket.", "a.b-c.") + name + "." + m.region + ".amazonaws.com"
	path := "/" + g.text(odd, g.IntN(20))
	m.rawPath = g.spell(path, m.doubleEncode)
	m.rawQuery = g.query(odd)

	theirs := &http.Request{Method: m.method, Host: m.host, Header: http.Header{}, URL: &url.URL{Scheme: "https", Host: m.host, RawQuery: m.rawQuery}}
	theirs.URL.Path, theirs.URL.RawPath = path, m.rawPath
	if name == "s3" { // a client escapes a key in one way, and S3 reads all ways as that
		theirs.URL.RawPath = httpbinding.EscapePath(path, false)
	}
	both := []string{"Content-Type", "Content-Md5", "Range", "If-None-Match", "Cache-Control", "X-Amz-Target", "X-Amz-Meta-A", "X-Amz-Checksum-Crc32", "X-Amz-Acl", "X-Amzn-Query-Mode", "Expires", "Smithy-Protocol"}
	for range g.IntN(6) {
		v := strings.TrimSpace(g.text(alphanumeric+"   ,;=/\"\\", 1+g.IntN(30)))
		h := g.pick(both...)
		m.header.Set(h, v)
		theirs.Header.Set(h, v)
	}
	// What hops may change is sent and not signed.
	for _, h := range []string{"User-Agent", "Accept", "Accept-Encoding", "Amz-Sdk-Request", "Amz-Sdk-Invocation-Id", "X-Amzn-Trace-Id"} {
		if g.IntN(3) == 0 {
			m.header.Set(h, g.text(alphanumeric, 8))
		}
	}
	g.body(&m, theirs)
	return m, theirs
}

// body gives the request one of the forms of bodies.
func (g *generator) body(m *message, theirs *http.Request) {
	if m.method == "GET" || m.method == "HEAD" {
		if m.name == "s3" {
			theirs.Header.Set("X-Amz-Content-Sha256", digestOf(nil))
		}
		return
	}
	m.body = []byte(g.text(alphanumeric+"{}\"\n", g.IntN(100)))
	theirs.ContentLength = int64(len(m.body))
	digest := digestOf(m.body)
	switch g.IntN(4) {
	case 0: // the client's hash, of a body that is judged
		m.payload, m.contentSHA256 = awsapi.PayloadHash, digest
		theirs.Header.Set("X-Amz-Content-Sha256", digest)
	case 1: // or of an object
		m.payload, m.contentSHA256, m.streams, m.length, m.body = awsapi.PayloadHash, digest, true, int64(len(m.body)), nil
		theirs.Header.Set("X-Amz-Content-Sha256", digest)
		theirs.ContentLength = 0 // nothing is sent here: Sign has no body to send
	case 2:
		if m.name == "s3" {
			m.payload, m.streams, m.length, m.body = awsapi.PayloadUnsigned, true, -1, nil
			theirs.ContentLength = 0
			theirs.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			return
		}
		fallthrough
	default:
		if m.name == "s3" {
			theirs.Header.Set("X-Amz-Content-Sha256", digest)
		}
	}
}

// spell percent-encodes path in one of the ways that a URL can be written, all that
// must be and some that may be; exactly is the SDKs' own way.
func (g *generator) spell(path string, exactly bool) string {
	if exactly || g.IntN(2) == 0 {
		return httpbinding.EscapePath(path, false)
	}
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c == '/':
			b.WriteByte(c)
		case strings.IndexByte(alphanumeric+"-._~!$&'()*+,:;=@", c) >= 0 && g.IntN(4) > 0:
			b.WriteByte(c)
		case g.IntN(2) == 0:
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (g *generator) query(odd string) string {
	odd = strings.ReplaceAll(odd, ";", "") // net/url, and so the signer, reads no pair that holds one
	v := url.Values{}
	for range g.IntN(5) {
		v.Add(g.text(odd, g.IntN(5)), g.text(odd, g.IntN(8)))
	}
	switch g.IntN(4) {
	case 0: // spaces in the other way
		return strings.ReplaceAll(v.Encode(), "+", "%20")
	case 1: // not sorted, names without values
		return g.pick("uploads", "acl&versionId=1", "prefix=b&prefix=a&delimiter=%2f", "z=1&a", "list-type=2&prefix=a/b", "a=b=c", "x=%7e&y=~")
	}
	return v.Encode()
}
