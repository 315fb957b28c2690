package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// A form whose fields are not understood, or could be in two ways, is refused before
// anything is sent.
func TestFormRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	good := browserForm(t, "a.txt", "hello", append([][2]string{{"key", "forms/k"}, {"acl", "private"}}, signedFields(formCredential)...)...)
	with := func(fields ...[2]string) string {
		return browserForm(t, "a.txt", "hello", append([][2]string{{"key", "forms/k"}}, fields...)...)
	}
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not there", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for name, c := range map[string]struct {
		body   string
		target string
		header []string
		says   string
	}{
		"no key":                    {body: browserForm(t, "a", "hello", [2]string{"acl", "private"}), says: "no key"},
		"empty key":                 {body: browserForm(t, "a", "hello", [2]string{"key", ""}), says: "no key"},
		"key twice":                 {body: with([2]string{"key", "other"}), says: "twice"},
		"key twice, case":           {body: with([2]string{"Key", "other"}), says: "twice"},
		"acl twice, case":           {body: with([2]string{"acl", "private"}, [2]string{"ACL", "public-read"}), says: "twice"},
		"meta twice, case":          {body: with([2]string{"x-amz-meta-a", "1"}, [2]string{"X-Amz-Meta-A", "2"}), says: "twice"},
		"two redirects":             {body: with([2]string{"redirect", "https://a/"}, [2]string{"success_action_redirect", "https://b/"}), says: "twice"},
		"signature twice":           {body: with(append(signedFields(formCredential), [2]string{"X-Amz-Signature", "0"})...), says: "twice"},
		"SigV4 and version 2":       {body: with(append(signedFields(formCredential), [2]string{"AWSAccessKeyId", "wide"})...), says: "signed twice"},
		"SigV4A":                    {body: with([2]string{"x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"}, [2]string{"x-amz-credential", "dev/20260101/s3/aws4_request"}), says: "X-Amz-Algorithm"},
		"no scope":                  {body: with([2]string{"x-amz-credential", "dev"}), says: "Credential"},
		"two credentials in one":    {body: with([2]string{"x-amz-credential", formCredential + ",Credential=wide/20260101/us-east-1/s3/aws4_request"}), says: "Credential"},
		"more behind the scope":     {body: with([2]string{"x-amz-credential", formCredential + ",x"}), says: "Credential"},
		"scope of another region":   {body: with([2]string{"x-amz-credential", "dev/20260101/eu-west-1/s3/aws4_request"}), says: "signed for s3 in eu-west-1"},
		"scope of another service":  {body: with([2]string{"x-amz-credential", "dev/20260101/us-east-1/sts/aws4_request"}), says: "signed for sts"},
		"unknown field":             {body: with([2]string{"x-amz-foo", "1"}), says: "does not know"},
		"copy source":               {body: with([2]string{"x-amz-copy-source", "/acme-prod/secret"}), says: "does not know"},
		"grant":                     {body: with([2]string{"x-amz-grant-read", "uri=x"}), says: "does not know"},
		"submit button":             {body: with([2]string{"submit", "Upload"}), says: "does not know"},
		"_charset_":                 {body: with([2]string{"_charset_", "utf-16"}), says: "does not know"},
		"encryption, unknown":       {body: with([2]string{"x-amz-server-side-encryption-foo", "1"}), says: "none of PutObject's"},
		"another bucket":            {body: with([2]string{"bucket", "acme-prod"}), says: "another bucket"},
		"empty acl":                 {body: with([2]string{"acl", ""}), says: "empty"},
		"line break in a field":     {body: with([2]string{"x-amz-meta-a", "1\r\nx-amz-acl: public-read"}), says: "printable ASCII"},
		"text that is not ASCII":    {body: with([2]string{"x-amz-meta-a", "ä"}), says: "printable ASCII"},
		"space around a field":      {body: with([2]string{"acl", "private "}), says: "space"},
		"underscore":                {body: with([2]string{"x-amz-meta-a_b", "1"}), says: "different ways"},
		"line break in a redirect":  {body: with([2]string{"redirect", "https://a/\r\nSet-Cookie: a"}), says: "printable ASCII"},
		"line break in the key":     {body: browserForm(t, "a", "x", [2]string{"key", "a\r\nb"}), says: "control character"},
		"NUL in the key":            {body: browserForm(t, "a", "x", [2]string{"key", "a\x00b"}), says: "control character"},
		"space around the key":      {body: browserForm(t, "a", "x", [2]string{"key", "a "}), says: "space"},
		"key that is not UTF-8":     {body: browserForm(t, "a", "x", [2]string{"key", "a\xff"}), says: "not UTF-8"},
		"no filename":               {body: browserForm(t, "", "x", [2]string{"key", "${filename}"}), says: "has none"},
		"filename that asks again":  {body: browserForm(t, "${filename}", "x", [2]string{"key", "${filename}"}), says: "${filename}"},
		"filename in another case":  {body: browserForm(t, "a", "x", [2]string{"key", "${FileName}"}), says: "${filename}"},
		"filename made of two":      {body: browserForm(t, "name}", "x", [2]string{"key", "${file${filename}"}), says: "${filename}"},
		"filename with an escape":   {body: browserForm(t, "a%22b", "x", [2]string{"key", "${filename}"}), says: "escape"},
		"filename with a backslash": {body: replace(`filename="a.txt"`, `filename="a\b"`), says: "Content-Disposition"},
		"filename*":                 {body: replace(`filename="a.txt"`, `filename="a"; filename*=utf-8''b`), says: "Content-Disposition"},
		"tagging, no XML":           {body: with([2]string{"tagging", "a=b"}), says: "XML"},
		"tagging, more":             {body: with([2]string{"tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><X>y</X></Tag></TagSet></Tagging>"}), says: "tagging"},
		"tagging, DTD":              {body: with([2]string{"tagging", "<!DOCTYPE x><Tagging><TagSet></TagSet></Tagging>"}), says: "XML"},
		"aws-chunked":               {body: with([2]string{"Content-Encoding", "aws-chunked"}), says: "aws-chunked"},
		"transfer encoding":         {body: replace("form-data; name=\"acl\"\r\n", "form-data; name=\"acl\"\r\nContent-Transfer-Encoding: base64\r\n"), says: "other than Content-Disposition"},
		"nested":                    {body: replace("form-data; name=\"acl\"\r\n", "form-data; name=\"acl\"\r\nContent-Type: multipart/mixed; boundary=x\r\n"), says: "parts of its own"},
		"charset":                   {body: replace("form-data; name=\"acl\"\r\n", "form-data; name=\"acl\"\r\nContent-Type: text/plain; charset=utf-7\r\n"), says: "text/plain in UTF-8"},
		"too long":                  {body: with([2]string{"x-ignore-a", strings.Repeat("a", 20<<10)}), says: "before its file"},
		"no file":                   {body: strings.Replace(good, "name=\"file\"; filename=\"a.txt\"", "name=\"x-ignore-1\"", 1), says: "text/plain"},
		"a file that is not file":   {body: strings.Replace(good, `name="file"`, `name="x-ignore-1"`, 1), says: "beside the field file"},
		"no form":                   {body: "hello", says: "breaks off"},
		"query":                     {body: good, target: "/acme-dev-reports?acl", says: "no query"},
		"presigned":                 {body: good, target: "/acme-dev-reports?X-Amz-Signature=0", says: "no query"},
		"empty query":               {body: good, target: "/acme-dev-reports?", says: "no query"},
		"signed in the header":      {body: good, header: []string{"Authorization: AWS4-HMAC-SHA256 Credential=" + formCredential + ", SignedHeaders=host, Signature=0"}, says: "Authorization"},
		"acl in a header":           {body: good, header: []string{"x-amz-acl: public-read"}, says: "X-Amz-Acl"},
		"owner in a header":         {body: good, header: []string{"x-amz-expected-bucket-owner: 111122223333"}, says: "X-Amz-Expected-Bucket-Owner"},
		"token in a header":         {body: good, header: []string{"x-amz-security-token: x"}, says: "X-Amz-Security-Token"},
		"hash in a header":          {body: good, header: []string{"x-amz-content-sha256: UNSIGNED-PAYLOAD"}, says: "X-Amz-Content-Sha256"},
		"condition in a header":     {body: good, header: []string{"If-None-Match: *"}, says: "If-None-Match"},
		"coded":                     {body: good, header: []string{"Content-Encoding: gzip"}, says: "Content-Encoding"},
		"MD5 of the form":           {body: good, header: []string{"Content-MD5: XUFAKrxLKna5cZ2REBfFkg=="}, says: "Content-Md5"},
		"two content types":         {body: good, header: []string{"Content-Type: multipart/form-data; boundary=x"}, says: "2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			tun := r.tunnel(t, s3Host, token)
			a := tun.raw(t, http.MethodPost, tun.post(or(c.target, "/acme-dev-reports"), c.body, c.header...))
			refused(t, a, http.StatusBadRequest, "malformed")
			if !strings.Contains(unescapeXML(string(a.body)), c.says) {
				t.Errorf("%s, want %q", a.body, c.says)
			}
			r.wantKinds(t, a.id(), event.KindRefused)
			r.nothingSent(t)
		})
	}
	for name, c := range map[string][2]string{
		"an object":       {s3Host, "/acme-dev-reports/k"},
		"the service":     {s3Host, "/"},
		"an access point": {"ap-111122223333.s3-accesspoint.us-east-1.amazonaws.com", "/"},
		"a directory":     {"b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			tun := r.tunnel(t, c[0], token)
			refused(t, tun.raw(t, http.MethodPost, tun.post(c[1], good)), http.StatusForbidden, "unidentified")
		})
	}
	r.nothingSent(t)
}

func unescapeXML(s string) string {
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(s)
}

// A form that does not end with its file is broken off: AWS never has the whole of it,
// the client is told, and so is the record.
func TestFormsThatLie(t *testing.T) {
	r := newRig(t, rigOptions{})
	object := strings.Repeat("0123456789", 20_000)
	good := browserForm(t, "a.txt", object, append([][2]string{{"key", "forms/lie"}}, signedFields(formCredential)...)...)
	end := "--" + formBoundary + "--\r\n"
	const field = "\r\nContent-Disposition: form-data; name=\"acl\"\r\n\r\npublic-read\r\n"
	for name, lie := range map[string]struct{ body, says string }{
		"a field behind the file":       {strings.TrimSuffix(good, end) + "--" + formBoundary + field + end, "behind its file"},
		"a file behind the file":        {strings.TrimSuffix(good, end) + "--" + formBoundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\nother\r\n" + end, "behind its file"},
		"a boundary inside the file":    {strings.Replace(good, object, object[:100]+"\r\n--"+formBoundary+"x"+object[100:], 1), "behind its file"},
		"an end inside the file":        {strings.Replace(good, object, object[:100]+"\r\n"+end+object[100:], 1), "behind its file"},
		"text behind the end":           {good + "x", "behind its file"},
		"a second end":                  {good + end, "behind its file"},
		"no end":                        {strings.TrimSuffix(good, "\r\n"+end), "breaks off"},
		"half an end":                   {strings.TrimSuffix(good, "-\r\n"), "breaks off"},
		"an end without its two dashes": {strings.TrimSuffix(good, "--\r\n") + "\r\n", "behind its file"},
	} {
		for framing, frame := range map[string]func(string) string{"length": func(s string) string { return s }, "chunked": inHTTPChunks} {
			t.Run(name+"/"+framing, func(t *testing.T) {
				r.aws.Forget()
				c := r.tunnel(t, bucketHost, r.token())
				a := c.raw(t, http.MethodPost, frame(c.post("/", lie.body)))
				refused(t, a, http.StatusBadRequest, "malformed")
				if !strings.Contains(string(a.body), lie.says) {
					t.Errorf("%s", a.body)
				}
				if _, calls := r.upstream(); len(calls) != 0 {
					t.Errorf("AWS has the whole request: %d bytes, answered %d", calls[0].BodyLength, calls[0].Status)
				}
				d := data[*event.Aborted](t, r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted))
				if d.Stage != "send" || d.ErrorCode != "malformed" || !strings.Contains(d.ErrorMessage, lie.says) {
					t.Errorf("%+v", d)
				}
			})
		}
	}
	passed(t, r.tunnel(t, s3Host, r.token()).do(t, http.MethodHead, "/acme-dev-reports/forms/lie", ""), http.StatusNotFound)
}

// A client that leaves in the middle of a form ends it, wherever that is.
func TestFormsAreCut(t *testing.T) {
	r := newRig(t, rigOptions{})
	object := strings.Repeat("0123456789", 20_000)
	body := browserForm(t, "a.txt", object, append([][2]string{{"key", "forms/cut"}}, signedFields(formCredential)...)...)
	for framing, frame := range map[string]func(string) string{"length": func(s string) string { return s }, "chunked": inHTTPChunks} {
		for name, missing := range map[string]int{"fields": len(body) - 200, "file": 100_000, "end": 10} {
			t.Run(name+"/"+framing, func(t *testing.T) {
				r.aws.Forget()
				c := r.tunnel(t, bucketHost, r.token())
				whole := frame(c.post("/", body))
				_, err := io.WriteString(c, whole[:len(whole)-missing])
				must(t, err)
				must(t, c.CloseWrite())
				a := c.read(t, http.MethodPost)
				if name == "fields" {
					refused(t, a, http.StatusBadRequest, "malformed")
					r.nothingSent(t)
					return
				}
				refused(t, a, http.StatusServiceUnavailable, "unavailable")
				if _, calls := r.upstream(); len(calls) != 0 {
					t.Errorf("AWS has the whole request")
				}
				r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted)
			})
		}
	}
}

// The target is named by the form's key, policy sees the fields, and what is denied is
// never sent.
func TestFormTargetAndPolicy(t *testing.T) {
	r := newRig(t, rigOptions{policy: `rules:
  - name: forms
    who: {groups: [ai-agents]}
    targets: [wide]
    actions: ["s3:PutObject"]
    resources: ["arn:aws:s3:::acme-dev-reports/forms/*"]
    when: '!has(params.ACL) && !has(params.success_action_redirect) && request.length < 100 && request.method == "POST"'
    effect: allow
`})
	form := func(key string, fields ...[2]string) string {
		return browserForm(t, "a.txt", "hello", append([][2]string{{"key", key}}, fields...)...)
	}
	wide := signedFields("wide/20260101/us-east-1/s3/aws4_request")
	c := r.tunnel(t, bucketHost, r.token())
	for name, body := range map[string]string{
		"SigV4":     form("forms/k", wide...),
		"version 2": form("forms/k", [2]string{"AWSAccessKeyId", "wide"}, [2]string{"policy", "x"}, [2]string{"signature", "x"}),
	} {
		a := c.raw(t, http.MethodPost, c.post("/", body))
		passed(t, a, http.StatusNoContent)
		if d := data[*event.Request](t, r.exchange(t, a.id())); d.Target != "wide" || d.RealKeySeen {
			t.Errorf("%s: %+v", name, d)
		}
	}
	r.aws.Forget()
	for name, body := range map[string]string{
		"another target": form("forms/k", signedFields(formCredential)...),
		"no signature":   form("forms/k"),
		"acl":            form("forms/k", append(wide, [2]string{"acl", "public-read"})...),
		"redirect":       form("forms/k", append(wide, [2]string{"redirect", "https://a/"})...),
		"another key":    form("other/k", wide...),
		"too long":       browserForm(t, "a.txt", strings.Repeat("a", 100), append(wide, [2]string{"key", "forms/k"})...),
		"a real key":     form("forms/k", signedFields("AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request")...),
		"from the file":  browserForm(t, "k", "x", append(wide, [2]string{"key", "other/${filename}"})...),
	} {
		a := c.raw(t, http.MethodPost, c.post("/", body))
		refused(t, a, http.StatusForbidden, "denied")
		if d := data[*event.Request](t, r.exchange(t, a.id())); d.RealKeySeen != (name == "a real key") {
			t.Errorf("%s: a real key seen: %t", name, d.RealKeySeen)
		}
		c = r.tunnel(t, bucketHost, r.token())
	}
	r.nothingSent(t)
}
