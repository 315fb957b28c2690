package awsapi_test

import (
	"bufio"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// hostLines reads a list of host names; a line in quotes is a Go string.
func hostLines(t testing.TB, file string) []string {
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '"' {
			if line, err = strconv.Unquote(line); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, line)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// signedHosts are the lines of hosts-signed.txt, field by field; - is "".
func signedHosts(t testing.TB) [][]string {
	var out [][]string
	for _, line := range hostLines(t, "hosts-signed.txt") {
		f := strings.Fields(line)
		if len(f) != 7 {
			t.Fatalf("hosts-signed.txt: %q", line)
		}
		for i := range f {
			f[i] = strings.TrimPrefix(f[i], "-")
		}
		out = append(out, f)
	}
	return out
}

func TestHostsSigned(t *testing.T) {
	id := identifier(t)
	list := signedHosts(t)
	if len(list) < 400 {
		t.Fatalf("%d hosts", len(list))
	}
	for _, f := range list {
		h, err := id.Classify(f[0])
		if err != nil {
			t.Errorf("%s: %v", f[0], err)
			continue
		}
		got := []string{h.Name, strings.Join(id.ServicesOf(h), ","), h.Partition, h.Region, h.Account, h.S3.Style, h.S3.Bucket}
		if !slices.Equal(got, f) {
			t.Errorf("%q, want %q", got, f)
		}
		again, err := id.Classify(h.Name)
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Errorf("%s: %+v, then %+v %v", f[0], h, again, err)
		}
		// Only the canonical form is a name: what makes it one is another's duty, and
		// leaving it out must not pass.
		for _, other := range []string{strings.ToUpper(f[0]), f[0] + ".", f[0] + ":443", "." + f[0], f[0] + " ", strings.Replace(f[0], ".", "..", 1), f[0] + ".evil", "x@" + f[0]} {
			if h, err := id.Classify(other); err == nil {
				t.Errorf("%q is signed for: %+v", other, h)
			}
		}
	}
}

func TestHostsNeverSigned(t *testing.T) {
	id := identifier(t)
	list := hostLines(t, "hosts-never-signed.txt")
	if len(list) < 300 {
		t.Fatalf("%d hosts", len(list))
	}
	for _, name := range list {
		for _, form := range []string{name, strings.ToUpper(name), name + ".", name + ":443"} {
			h, err := id.Classify(form)
			if err == nil {
				t.Errorf("%q is signed for: %v %+v", form, id.ServicesOf(h), h)
				continue
			}
			if r := refusal.Of(err).Reason; r != refusal.Unidentified && r != refusal.Malformed {
				t.Errorf("%q: reason %s", form, r)
			}
			if h.Kind != awsapi.NotAWS && h.Kind != awsapi.NeverSigned {
				t.Errorf("%q: refused, and of kind %d", form, h.Kind)
			}
		}
	}
}

// notCarried are names with an id in front that are known and never carried:
// multi-region endpoints and access points, S3 Object Lambda, S3 on Outposts.
var notCarried = regexp.MustCompile(`^([a-z0-9-]+\.endpoints\.email|[a-z0-9-]+\.[a-z0-9-]+\.endpoint\.events|[a-z0-9-]+\.mrap\.accesspoint\.s3-global|` +
	`[a-z0-9-]+\.s3-object-lambda(-fips)?(\.dualstack)?\.[a-z0-9-]+|[a-z0-9-]+-\d{12}\.op-[a-z0-9-]*\.s3-outposts(-fips)?(\.dualstack)?\.[a-z0-9-]+)\.(amazonaws|c2s|sc2s|cloud|csp)\.`)

// callersName reports a host that may be signed for although a label of it is of
// someone's choosing:
//
//   - S3 with a bucket of 3 to 63 bytes, an access point or a directory bucket
//     in front, by the grammar that reader's hostTable has for S3;
//   - a catalog pattern with a 12-digit account or a caller's label in front,
//     every other label literal or a region of the pattern's partition;
//   - what notCarried says.
func callersName(table *hostTable, host string) bool {
	if notCarried.MatchString(host) {
		return true
	}
	spots := table.find(host)
	return len(spots) > 0 && (spots[0].s3 || spots[0].chosen)
}

// TestHostInsertion puts a label anywhere into a name. What was refused is then
// signed for only by callersName; what was signed for stays what a second reading
// of the catalog's patterns says it is.
func TestHostInsertion(t *testing.T) {
	id := identifier(t)
	cat, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	table := newHostTable(t, cat)
	rng := rand.New(rand.NewPCG(12, 26))
	labels := []string{"evil", "us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "com", "amazonaws", "aws", "api", "on", "x", "dualstack", "111122223333", "s3", "s3-fips", "s3-accesspoint", "s3-accelerate", "s3-website",
		"s3-outposts", "op-1", "mrap", "accesspoint", "s3-global", "s3express-use1-az4", "b--use1-az4--x-s3", "ap-111122223333", "vpce", "xn--a", "fips", "data", "control", "ddb", "endpoint", "endpoints", "cloudfront-kvs", "global"}
	check := func(base, name string, wasSigned bool) {
		h, err := id.Classify(name)
		again, err2 := id.Classify(name)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(h, again) {
			t.Fatalf("%s: two answers", name)
		}
		if err != nil {
			return
		}
		if h.Name != name {
			t.Fatalf("%s: canonical name %s", name, h.Name)
		}
		if !wasSigned && !callersName(table, name) {
			t.Errorf("%s became %s, which is signed for: %v %+v", base, name, id.ServicesOf(h), h)
		}
		if got, want := id.ServicesOf(h), table.services(name); !notCarried.MatchString(name) && !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	word := func() string {
		if rng.IntN(3) > 0 {
			return labels[rng.IntN(len(labels))]
		}
		b := make([]byte, 1+rng.IntN(12))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz0123456789-"[rng.IntN(37)]
		}
		return string(b)
	}
	never, signed := hostLines(t, "hosts-never-signed.txt"), signedHosts(t)
	for range 20000 {
		base := never[rng.IntN(len(never))]
		parts := strings.Split(base, ".")
		if len(parts) > 2 {
			check(base, strings.Join(slices.Insert(parts, rng.IntN(len(parts)+1), word()), "."), false)
		}
		base = signed[rng.IntN(len(signed))][0]
		parts = strings.Split(base, ".")
		check(base, strings.Join(slices.Insert(parts, rng.IntN(len(parts)+1), word()), "."), true)
	}
}

// FuzzClassify: one answer for a name, only for a plain name below an AWS suffix,
// and the one that a second reading of the catalog's patterns gives.
func FuzzClassify(f *testing.F) {
	id := identifier(f)
	cat, err := catalog.Load()
	if err != nil {
		f.Fatal(err)
	}
	for i, h := range signedHosts(f) {
		if i%8 == 0 {
			f.Add(h[0])
		}
	}
	for i, h := range hostLines(f, "hosts-never-signed.txt") {
		if i%8 == 0 {
			f.Add(h)
		}
	}
	table := newHostTable(f, cat)
	f.Fuzz(func(t *testing.T, name string) {
		clear(table.seen)
		h, err := id.Classify(name)
		again, err2 := id.Classify(name)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(h, again) {
			t.Fatal("two answers for one name")
		}
		if h.Name != name {
			t.Fatalf("%q is called %q", name, h.Name)
		}
		if err != nil {
			if h.Kind != awsapi.NotAWS && h.Kind != awsapi.NeverSigned {
				t.Fatalf("%q: refused, and of kind %d", name, h.Kind)
			}
			return
		}
		if h.Kind == awsapi.NotAWS || h.Kind == awsapi.NeverSigned || name != strings.ToLower(name) || !id.UnderAWSSuffix(name) || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			t.Fatalf("%q is signed for: %+v", name, h)
		}
		if (h.Kind == awsapi.S3Bucket) != (h.S3.Bucket != "") || (h.Kind == awsapi.S3Bucket) && !strings.HasPrefix(name, strings.TrimSuffix(h.S3.Bucket, ".mrap")) {
			t.Fatalf("%q: %+v", name, h)
		}
		if got, want := id.ServicesOf(h), table.services(name); !notCarried.MatchString(name) && !slices.Equal(got, want) {
			t.Fatalf("%q is %v, want %v", name, got, want)
		}
	})
}
