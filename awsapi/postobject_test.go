package awsapi_test

import (
	"bytes"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/refusal"
)

const formBoundary = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

// posted is the call of a form as the gateway makes it.
func posted(id *awsapi.Identifier, host, target, body string, header ...string) (*awsapi.Call, *postform.Form, error) {
	r := request("POST", host, target, append([]string{"Content-Type", "multipart/form-data; boundary=" + formBoundary}, header...)...)
	r.ContentLength = int64(len(body))
	head, err := id.Head(r)
	if err != nil {
		return nil, nil, err
	}
	boundary, ok := head.FormUpload()
	if !ok {
		return nil, nil, refusal.New(refusal.Unidentified, "no form")
	}
	f, err := postform.Read(strings.NewReader(body), boundary, int64(len(body)))
	if err != nil {
		return nil, nil, err
	}
	if head, err = head.WithForm(f, "111122223333"); err != nil {
		return nil, nil, err
	}
	call, err := head.Call(nil)
	return call, f, err
}

func formBody(filename string, fields ...[2]string) string {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.SetBoundary(formBoundary)
	for _, f := range fields {
		_ = w.WriteField(f[0], f[1])
	}
	p, _ := w.CreateFormFile("file", filename)
	_, _ = io.WriteString(p, "hello")
	_ = w.Close()
	return b.String()
}

// A form is the PutObject that has its fields in headers, and is judged as that.
func TestFormIsPutObject(t *testing.T) {
	id := identifier(t)
	fields := [][2]string{{"acl", "public-read"}, {"Content-Type", "text/html"}, {"Cache-Control", "no-cache"}, {"Content-Disposition", "inline"}, {"Content-Encoding", "gzip"}, {"Expires", "Thu, 01 Dec 1994 16:00:00 GMT"},
		{"Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="}, {"x-amz-storage-class", "GLACIER"}, {"x-amz-website-redirect-location", "https://example.com/"}, {"x-amz-meta-a", "b"}, {"x-amz-meta-empty", ""},
		{"x-amz-server-side-encryption", "aws:kms"}, {"x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:us-east-1:111122223333:key/k"}, {"x-amz-server-side-encryption-bucket-key-enabled", "true"},
		{"x-amz-server-side-encryption-context", "e30="}, {"x-amz-checksum-crc32", "NhCmhg=="}, {"Content-Type", ""}}
	same := func(name string, put awsapi.Request, form ...[2]string) {
		t.Helper()
		want, err := identify(id, put, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, _, err := posted(id, put.Host, "/", formBody("f", append(form, [2]string{"key", "a/b c"})...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Operation != "PutObject" || !reflect.DeepEqual(got.Actions, want.Actions) || !slices.Equal(got.Classes, want.Classes) || !reflect.DeepEqual(got.Params(), want.Params()) || got.Region != want.Region || got.SigningRegion != want.SigningRegion {
			t.Errorf("%s: %+v %v\nwant %+v %v", name, got, got.Params(), want, want.Params())
		}
		c := got.Canonical()
		if u, ok := c.Upload(); !ok || c.Method() != "POST" || c.RawPath() != "/" || len(c.Header()) != 0 || !c.Streams() || c.DataLength() != 7 || len(u.Fields) != len(form)+1 || u.Bucket != "b1b" {
			t.Errorf("%s: %+v", name, c)
		}
		if _, changed := got.WithBucketOwner("111122223333"); changed {
			t.Errorf("%s: a header was added, which S3 does not read", name)
		}
	}
	for _, host := range []string{"b1b.s3.us-east-1.amazonaws.com", "b1b.s3.amazonaws.com", "b1b.s3-accelerate.amazonaws.com", "b1b.s3.dualstack.eu-west-1.amazonaws.com", "b1b.s3-fips.us-gov-west-1.amazonaws.com"} {
		same(host, request("PUT", host, "/a/b%20c"))
	}
	const host = "b1b.s3.us-east-1.amazonaws.com"
	var all []string
	for i, f := range fields {
		header := f[0]
		if header == "acl" {
			header = "X-Amz-Acl"
		}
		same(f[0], request("PUT", host, "/a/b%20c", header, f[1]), f)
		if i < len(fields)-1 {
			all = append(all, header, f[1])
		}
	}
	same("all", request("PUT", host, "/a/b%20c", all...), fields[:len(fields)-1]...)
	same("checksum algorithm", request("PUT", host, "/a/b%20c", "X-Amz-Sdk-Checksum-Algorithm", "CRC32"), [2]string{"x-amz-checksum-algorithm", "CRC32"})
	same("tagging", request("PUT", host, "/a/b%20c", "X-Amz-Tagging", "a%20b=c%26d&e="), [2]string{"tagging", "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag><Tag><Key>e</Key><Value/></Tag></TagSet></Tagging>"})
}

// Without its fields a form is no call.
func TestFormUnread(t *testing.T) {
	id := identifier(t)
	r := request("POST", "b1b.s3.us-east-1.amazonaws.com", "/", "Content-Type", "multipart/form-data; boundary=x")
	head, err := id.Head(r)
	if err != nil {
		t.Fatal(err)
	}
	if call, err := head.Call([]byte("--x\r\n")); err == nil || refusal.Of(err).Reason != refusal.Unidentified {
		t.Errorf("%+v, %v", call, err)
	}
	if _, err := head.WithForm(nil, ""); err == nil {
		t.Error("a form of nothing")
	}
	if _, err := head.WithForm(&postform.Form{Fields: []postform.Field{{Name: "key", Value: "k"}}}, ""); err == nil {
		t.Error("a form without a file")
	}
	put, err := id.Head(request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/k"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := put.FormUpload(); ok {
		t.Error("a PutObject is no form")
	}
	if _, ok := (awsapi.Canonical{}).Upload(); ok {
		t.Error("nor is nothing")
	}
}

// asS3 is what S3's documentation makes of a form that is sent: names have no case, and
// ${filename} is the file's name in every field.
func asS3(fields []postform.Field, filename string) map[string]string {
	out := map[string]string{}
	for _, f := range fields {
		out[strings.ToLower(f.Name)] += strings.ReplaceAll(f.Value, "${filename}", filename)
	}
	return out
}

// FuzzPostObject: a form that is taken goes on as what was judged, whatever its fields hold,
// and nothing of it that signs goes on.
func FuzzPostObject(f *testing.F) {
	f.Add("k", "a.txt", "acl", "private", "x-amz-meta-a", "${filename}")
	f.Add("${filename}", "${filename}", "Acl", "private", "acl", "public-read")
	f.Add("a/../b//c", "x/y", "policy", "x", "x-amz-credential", "dev/20260101/us-east-1/s3/aws4_request")
	f.Add("${file${filename}}", "name", "tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", "Content-Type", "")
	f.Add("k", "f", "redirect", "https://a/", "success_action_redirect", "https://b/")
	f.Add("k", "f", "x-ignore-a", "1", "AWSAccessKeyId", "dev")
	f.Add("k", "f", "bucket", "b1b", "x-amz-server-side-encryption-customer-key", "c2VjcmV0")
	id := identifier(f)
	f.Fuzz(func(t *testing.T, key, filename, name1, value1, name2, value2 string) {
		call, form, err := posted(id, "b1b.s3.us-east-1.amazonaws.com", "/", formBody(filename, [2]string{"key", key}, [2]string{name1, value1}, [2]string{name2, value2}))
		if err != nil {
			return
		}
		u, _ := call.Canonical().Upload()
		const fresh = "ZnJlc2hmcmVzaGZyZXNo"
		body, _ := postform.Body(u.Fields, form.File, fresh)
		var sent []postform.Field
		m := multipart.NewReader(body, fresh)
		for {
			p, err := m.NextRawPart()
			if err != nil {
				t.Fatalf("another reader does not understand what is sent: %v", err)
			}
			value, _ := io.ReadAll(p)
			if p.FormName() == "file" {
				break
			}
			sent = append(sent, postform.Field{Name: p.FormName(), Value: string(value)})
		}
		stored := asS3(sent, "another name")
		if !slices.Equal(sent, u.Fields) || len(stored) != len(sent) || !maps.Equal(stored, asS3(sent, "")) {
			t.Fatalf("judged %q, sent %q, read as %q", u.Fields, sent, stored)
		}
		params := call.Params()
		if params["Key"] != stored["key"] || call.Actions[0].Resources[0].ARN != "arn:aws:s3:::b1b/"+stored["key"] {
			t.Fatalf("judged %v, stored %q", params, stored)
		}
		judged := map[string]string{"acl": "ACL", "content-type": "ContentType", "x-amz-storage-class": "StorageClass", "x-amz-server-side-encryption": "ServerSideEncryption",
			"x-amz-server-side-encryption-customer-key": "SSECustomerKey", "success_action_redirect": "success_action_redirect", "x-amz-website-redirect-location": "WebsiteRedirectLocation"}
		for field, member := range judged {
			if got, _ := params[member].(string); got != stored[field] {
				t.Fatalf("%s: judged %q, stored %q", field, got, stored[field])
			}
		}
		for field := range stored {
			if strings.HasPrefix(field, "x-amz-meta-") {
				meta, _ := params["Metadata"].(map[string]any)
				if meta[strings.TrimPrefix(field, "x-amz-meta-")] != stored[field] {
					t.Fatalf("%s: judged %v, stored %q", field, meta, stored[field])
				}
			}
			switch field {
			case "policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token", "awsaccesskeyid", "signature", "bucket", "file":
				t.Fatalf("%s goes on", field)
			}
			if strings.HasPrefix(field, "x-ignore-") || field != "key" && (field == "" || http.CanonicalHeaderKey(field) == "") {
				t.Fatalf("%s goes on", field)
			}
		}
	})
}

func TestFormAccessKeyID(t *testing.T) {
	for _, c := range []struct {
		fields []postform.Field
		want   string
	}{
		{[]postform.Field{{Name: "X-Amz-Credential", Value: "dev/20260101/us-east-1/s3/aws4_request"}}, "dev"},
		{[]postform.Field{{Name: "AWSAccessKeyId", Value: "dev"}}, "dev"},
		{[]postform.Field{{Name: "AWSAccessKeyId", Value: "dev"}, {Name: "x-amz-credential", Value: "wide/"}}, ""},
		{[]postform.Field{{Name: "AWSAccessKeyId", Value: strings.Repeat("d", 129)}}, ""},
		{nil, ""},
	} {
		if got := awsapi.FormAccessKeyID(&postform.Form{Fields: c.fields}); got != c.want {
			t.Errorf("%v: %q", c.fields, got)
		}
	}
}
