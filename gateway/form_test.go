package gateway_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// formBoundary is of the shape that Python's urllib3 gives.
const formBoundary = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

const formCredential = "dev/20260101/us-east-1/s3/aws4_request"

// signedFields are what a client adds that signs with a placeholder.
func signedFields(credential string) [][2]string {
	return [][2]string{
		{"x-amz-algorithm", "AWS4-HMAC-SHA256"}, {"x-amz-credential", credential}, {"x-amz-date", "20260101T000000Z"},
		{"x-amz-security-token", placeholderSecret}, {"policy", clientSignature}, {"x-amz-signature", clientSignature},
	}
}

// browserForm is a form as clients write it.
func browserForm(t *testing.T, filename, file string, fields ...[2]string) string {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	must(t, w.SetBoundary(formBoundary))
	for _, f := range fields {
		must(t, w.WriteField(f[0], f[1]))
	}
	p, err := w.CreateFormFile("file", filename)
	must(t, err)
	_, err = p.Write([]byte(file))
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// post is the request that bears a form.
func (c *tunnel) post(target, body string, header ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n%s\r\n%s",
		target, c.host, formBoundary, len(body), lines(header), body)
}

const bucketHost = "acme-dev-reports." + s3Host

// unsigned are the fields of a form that arrived, without what signs it.
func unsigned(form map[string]string) map[string]string {
	out := maps.Clone(form)
	for _, name := range []string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "policy", "x-amz-signature"} {
		delete(out, name)
	}
	return out
}

// A form is judged by its fields, signed anew, and answered as S3 answers forms. The
// simulated AWS verifies the policy, its signature and the credential's session policy.
func TestFormUpload(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	token := r.token()
	for name, c := range map[string]struct {
		host, target, file string
		fields             [][2]string
		status             int
		key                string
		form               map[string]string
		params             map[string]any
	}{
		"virtual host": {host: bucketHost, target: "/", file: "hello", fields: [][2]string{{"key", "forms/a"}}, status: 204, key: "forms/a"},
		"path":         {host: s3Host, target: "/acme-dev-reports", file: "hello", fields: [][2]string{{"key", "forms/b"}}, status: 204, key: "forms/b"},
		"path/":        {host: s3Host, target: "/acme-dev-reports/", file: "hello", fields: [][2]string{{"key", "forms/b"}, {"bucket", "acme-dev-reports"}}, status: 204, key: "forms/b"},
		"empty":        {host: bucketHost, target: "/", fields: [][2]string{{"key", "forms/empty"}}, status: 204, key: "forms/empty"},
		"long":         {host: bucketHost, target: "/", file: strings.Repeat("0123456789abcdef", 20<<16), fields: [][2]string{{"key", "forms/long"}}, status: 204, key: "forms/long"},
		"odd key":      {host: bucketHost, target: "/", file: "x", fields: [][2]string{{"key", `größe/€ "(1)"!'*+%20\$a//..`}}, status: 204, key: `größe/€ "(1)"!'*+%20\$a//..`},
		"leading /":    {host: bucketHost, target: "/", file: "x", fields: [][2]string{{"key", "/a"}}, status: 204, key: "/a"},
		"filename": {host: bucketHost, target: "/", file: "x", fields: [][2]string{{"key", "forms/${filename}"}, {"x-amz-meta-name", "${filename}"}}, status: 204, key: "forms/a b.txt",
			form: map[string]string{"x-amz-meta-name": "a b.txt"}, params: map[string]any{"Metadata": map[string]any{"name": "a b.txt"}}},
		"everything": {host: bucketHost, target: "/", file: "x", status: 201, key: "forms/c",
			fields: [][2]string{{"KEY", "forms/c"}, {"acl", "bucket-owner-full-control"}, {"Content-Type", "text/plain"}, {"Cache-Control", "no-store"}, {"Content-Disposition", "inline"}, {"Content-Encoding", "gzip"},
				{"Expires", "0"}, {"x-amz-storage-class", "STANDARD_IA"}, {"X-Amz-Meta-Owner", "$me"}, {"x-amz-server-side-encryption", "AES256"}, {"x-ignore-me", "secret"}, {"success_action_status", "201"},
				{"tagging", "<Tagging>\n <TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>"}, {"x-amz-website-redirect-location", "/x"}, {"x-amz-checksum-sha256", "LXEWQrcmsEQBYnyp++Ip9m2WZ3fZ+/VkE0ieBuC4nYg="}},
			form: map[string]string{"acl": "bucket-owner-full-control", "content-type": "text/plain", "cache-control": "no-store", "content-disposition": "inline", "content-encoding": "gzip",
				"expires": "0", "x-amz-storage-class": "STANDARD_IA", "x-amz-meta-owner": "$me", "x-amz-server-side-encryption": "AES256", "success_action_status": "201",
				"tagging": "<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>", "x-amz-website-redirect-location": "/x", "x-amz-checksum-sha256": "LXEWQrcmsEQBYnyp++Ip9m2WZ3fZ+/VkE0ieBuC4nYg="},
			params: map[string]any{"ACL": "bucket-owner-full-control", "ContentType": "text/plain", "StorageClass": "STANDARD_IA", "Tagging": "a%20b=c%26d", "success_action_status": "201", "ServerSideEncryption": "AES256"}},
		"status 200": {host: bucketHost, target: "/", file: "x", fields: [][2]string{{"key", "k"}, {"success_action_status", "200"}}, status: 200, key: "k",
			form: map[string]string{"success_action_status": "200"}},
		"redirect": {host: bucketHost, target: "/", file: "x", fields: [][2]string{{"key", "k"}, {"redirect", "https://example.com/done?a=b"}}, status: 303, key: "k",
			form: map[string]string{"success_action_redirect": "https://example.com/done?a=b"}, params: map[string]any{"success_action_redirect": "https://example.com/done?a=b"}},
	} {
		for _, end := range []string{"\r\n", ""} {
			for framing, frame := range map[string]func(string) string{"length": func(s string) string { return s }, "chunked": inHTTPChunks} {
				t.Run(name+"/"+framing, func(t *testing.T) {
					r.aws.Forget()
					body := strings.TrimSuffix(browserForm(t, "a b.txt", c.file, append(c.fields, signedFields(formCredential)...)...), "\r\n") + end
					tun := r.tunnel(t, c.host, token)
					a := tun.raw(t, http.MethodPost, frame(tun.post(c.target, body, "Cache-Control: max-age=0", "Origin: https://example.com", "User-Agent: test")))
					passed(t, a, c.status)
					_, calls := r.upstream()
					if len(calls) != 1 {
						t.Fatalf("%d calls", len(calls))
					}
					got := calls[0]
					want := map[string]string{"key": c.key}
					maps.Copy(want, c.form)
					if !maps.Equal(unsigned(got.Form), want) || got.KeyID == "" || got.Method != http.MethodPost || got.Target != c.target {
						t.Errorf("arrived: %s %s %v, want %v", got.Method, got.Target, unsigned(got.Form), want)
					}
					if h := got.Header; framing == "length" && h.Get("Content-Length") != fmt.Sprint(got.BodyLength) || h.Get("Origin")+h.Get("Cache-Control")+h.Get("Authorization") != "" || h.Get("User-Agent") != "test" {
						t.Errorf("arrived with %v", h)
					}
					for _, secret := range []string{placeholderSecret, clientSignature, formBoundary} {
						if bytes.Contains(got.Head, []byte(secret)) || bytes.Contains(got.Body, []byte(secret)) {
							t.Errorf("%s arrived", secret)
						}
					}
					sum := r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/acme-dev-reports/"+strings.TrimPrefix(escaped(c.key), "/"), "")
					if c.key[0] != '/' {
						if passed(t, sum, 200); string(sum.body) != c.file {
							t.Errorf("%d bytes were stored, want %d", len(sum.body), len(c.file))
						}
					}
					d := data[*event.Request](t, r.exchange(t, a.id()))
					if d.EventName != "PutObject" || d.Method != http.MethodPost || len(d.Resources) != 1 || d.Resources[0].ARN != "arn:aws:s3:::acme-dev-reports/"+c.key || d.RequestParameters["Key"] != c.key {
						t.Errorf("on record: %+v", d)
					}
					for k, v := range c.params {
						if fmt.Sprint(d.RequestParameters[k]) != fmt.Sprint(v) {
							t.Errorf("on record: %s is %v, want %v", k, d.RequestParameters[k], v)
						}
					}
					if resp := response(t, r, a); resp.RequestBody == nil || resp.RequestBody.Size != int64(len(body)) {
						t.Errorf("on record: %+v", resp.RequestBody)
					}
					switch {
					case c.status == 201 && !strings.Contains(string(a.body), "<PostResponse><Location>https://acme-dev-reports.s3"):
						t.Errorf("answered %s", a.body)
					case c.status == 303 && !strings.HasPrefix(a.Header.Get("Location"), "https://example.com/done?a=b&bucket=acme-dev-reports&etag=%22"):
						t.Errorf("answered with the Location %s", a.Header.Get("Location"))
					}
				})
			}
		}
	}
	text := r.log.String()
	for _, secret := range []string{placeholderSecret, clientSignature} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

func escaped(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return strings.ReplaceAll(b.String(), "%2F", "/")
}

// Whatever becomes of a form's bytes on the way, what AWS stores is what is on record
// as judged.
func TestMutatedForms(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	r := newRig(t, rigOptions{})
	token := r.token()
	seed := rand.Uint64()
	g := rand.New(rand.NewPCG(seed, 0))
	good := browserForm(t, "a.txt", "hello", append([][2]string{{"key", "forms/${filename}"}, {"acl", "private"}, {"Content-Type", "text/plain"}, {"x-amz-meta-a", "b"}}, signedFields(formCredential)...)...)
	pieces := []string{"\r\n", "\n", "\r", "--", formBoundary, "--" + formBoundary + "\r\n", `"`, `\`, ";", ":", "=", " ", "\t", "\x00", "${filename}", "file", "key", "acl", "name", "filename", "Content-Disposition: form-data; name=\"acl\"", "public-read", "%22", "é", "\xff", "A", ""}
	taken := 0
	for i := range rounds {
		body := good
		for range 1 + g.IntN(3) {
			at := g.IntN(len(body))
			piece := pieces[g.IntN(len(pieces))]
			switch g.IntN(4) {
			case 0:
				body = body[:at] + piece + body[at:]
			case 1:
				body = body[:at] + piece + body[min(len(body), at+1+g.IntN(8)):]
			case 2: // a line again, perhaps elsewhere
				lines := strings.SplitAfter(body, "\r\n")
				k := g.IntN(len(lines))
				lines = slices.Insert(lines, g.IntN(len(lines)+1), lines[k])
				body = strings.Join(lines, "")
			case 3: // a letter's case
				body = body[:at] + strings.ToUpper(body[at:at+1]) + body[at+1:]
			}
		}
		r.aws.Forget()
		c := r.tunnel(t, bucketHost, token)
		a := c.raw(t, http.MethodPost, c.post("/", body))
		_, calls := r.upstream()
		if len(calls) == 0 {
			if a.reason() == "" {
				t.Fatalf("seed %d, round %d: answered %d, and nothing arrived\n%q", seed, i, a.StatusCode, body)
			}
			continue
		}
		taken++
		got := calls[0]
		if got.ErrorCode != "" || got.KeyID == "" {
			t.Fatalf("seed %d, round %d: AWS refused what was judged: %s\n%q", seed, i, got.ErrorCode, body)
		}
		d := data[*event.Request](t, r.exchange(t, a.id()))
		text := func(name string) string { s, _ := d.RequestParameters[name].(string); return s }
		meta := fmt.Sprint(d.RequestParameters["Metadata"])
		if len(d.Resources) != 1 || d.Resources[0].ARN != "arn:aws:s3:::acme-dev-reports/"+got.Form["key"] || text("Key") != got.Form["key"] ||
			text("ACL") != got.Form["acl"] || text("ContentType") != got.Form["content-type"] {
			t.Fatalf("seed %d, round %d: stored %v, on record %v\n%q", seed, i, unsigned(got.Form), d.RequestParameters, body)
		}
		for name, value := range unsigned(got.Form) {
			if m, ok := strings.CutPrefix(name, "x-amz-meta-"); ok && !strings.Contains(meta, m+":"+value) {
				t.Fatalf("seed %d, round %d: stored %v, on record %v\n%q", seed, i, unsigned(got.Form), d.RequestParameters, body)
			}
		}
	}
	if taken == 0 || taken == rounds {
		t.Errorf("%d of %d forms were taken", taken, rounds)
	}
	t.Logf("%d of %d forms were taken", taken, rounds)
}

// What AWS says of a form is given on, without what signed it.
func TestFormThatAWSRefuses(t *testing.T) {
	r := newRig(t, rigOptions{})
	body := browserForm(t, "a.txt", strings.Repeat("x", 1<<20), append([][2]string{{"key", "k"}}, signedFields(formCredential)...)...)
	c := r.tunnel(t, "no-such-bucket-here."+s3Host, r.token())
	a := c.raw(t, http.MethodPost, c.post("/", body))
	passed(t, a, http.StatusNotFound)
	if !strings.Contains(string(a.body), "NoSuchBucket") {
		t.Errorf("%s", a.body)
	}
	// The session policy is in force: another account's bucket is none of the target's.
	c = r.tunnel(t, "partner-exfil."+s3Host, r.token())
	a = c.raw(t, http.MethodPost, c.post("/", body))
	passed(t, a, http.StatusForbidden)
	if !strings.Contains(string(a.body), "AccessDenied") {
		t.Errorf("%s", a.body)
	}
}
