package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const plantedKey = "AKIAQ3EGRJ5XLMNB2UVW"

const maskObjects = "mask: {objects: mask, max_body: 64KiB}"

// The real SDK gets of a masked object, whole or in parts, what it would get if the
// object were stored so.
func TestMaskedObjects(t *testing.T) {
	r := newRig(t, rigOptions{extra: maskObjects})
	files := s3.NewFromConfig(r.sdk(r.token(), "dev"))
	text := strings.Repeat("x", 100_000) + " " + plantedKey + " " + strings.Repeat("y ", 100_000)
	bucket, key := aws.String("acme-dev-reports"), aws.String("masked")
	_, err := files.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(text)})
	must(t, err)
	get := func(part string) (string, *s3.GetObjectOutput, error) {
		in := &s3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: "ENABLED"}
		if part != "" {
			in.Range = &part
		}
		out, err := files.GetObject(t.Context(), in)
		if err != nil {
			return "", nil, err
		}
		b, err := io.ReadAll(out.Body)
		return string(b), out, err
	}
	whole, _, err := get("")
	must(t, err)
	if len(whole) != len(text) || strings.Contains(whole, plantedKey) || whole == text {
		t.Fatalf("%d bytes", len(whole))
	}
	at := strings.Index(text, plantedKey)
	for _, c := range [][2]int{{0, 9}, {at, at + 9}, {at + 9, at + 40}, {at - 5, at + 5}, {len(text) - 3, len(text) - 1}} {
		got, out, err := get(fmt.Sprintf("bytes=%d-%d", c[0], c[1]))
		if err != nil || got != whole[c[0]:c[1]+1] || aws.ToString(out.ContentRange) != fmt.Sprintf("bytes %d-%d/%d", c[0], c[1], len(text)) || aws.ToInt64(out.ContentLength) != int64(len(got)) {
			t.Errorf("%v: %q %v", c, got, err)
		}
	}
	if got, _, err := get("bytes=-7"); err != nil || got != whole[len(whole)-7:] {
		t.Errorf("%q %v", got, err)
	}
	_, calls := r.upstream()
	if v := calls[len(calls)-1].Header.Get("Range"); v != "bytes=-65543" {
		t.Errorf("AWS was asked for %s", v)
	}
	c := r.tunnel(t, s3Host, r.token())
	a := c.do(t, http.MethodGet, "/acme-dev-reports/masked", "", fmt.Sprintf("Range: bytes=%d-", len(text)+1))
	passed(t, a, http.StatusRequestedRangeNotSatisfiable)
	if !strings.Contains(string(a.body), "<Code>InvalidRange</Code>") {
		t.Errorf("%s", a.body)
	}
	asked := len(calls) + 1
	refused(t, c.do(t, http.MethodGet, "/acme-dev-reports/masked", "", "Range: bytes=0-1,5-6"), http.StatusForbidden, "denied")
	refused(t, r.tunnel(t, s3Host, r.token()).do(t, http.MethodGet, "/acme-dev-reports/masked?partNumber=2", ""), http.StatusForbidden, "denied")
	if _, calls := r.upstream(); len(calls) != asked {
		t.Errorf("%d calls, want %d: a refused one was sent", len(calls), asked)
	}
}
