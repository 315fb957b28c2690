package awsapi

import (
	"cmp"
	"net/http"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/refusal"
)

// formHeaders are the documented fields of a form upload that are PutObject's headers
// under the same or another name (Amazon S3 API Reference, "POST Object").
var formHeaders = map[string]string{
	"acl": "X-Amz-Acl", "cache-control": "Cache-Control", "content-type": "Content-Type", "content-disposition": "Content-Disposition",
	"content-encoding": "Content-Encoding", "content-md5": "Content-Md5", "expires": "Expires",
	"x-amz-checksum-algorithm": "X-Amz-Sdk-Checksum-Algorithm", "x-amz-storage-class": "X-Amz-Storage-Class",
	"x-amz-website-redirect-location": "X-Amz-Website-Redirect-Location",
}

var formPrefixes = []string{"x-amz-meta-", "x-amz-checksum-", "x-amz-server-side-encryption"}

// formAnswers say how S3 answers; redirect is an old name of one.
var formAnswers = map[string]string{
	"success_action_redirect": "success_action_redirect", "redirect": "success_action_redirect", "success_action_status": "success_action_status",
}

// formSignature are the fields that authenticate, with SigV4 or signature version 2.
// None goes on. The policy is part of it: who holds a placeholder wrote it.
var formSignature = set("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token", "awsaccesskeyid", "signature")

// sentNames are the fields that are not sent in lower case, the documentation's names.
var sentNames = map[string]string{
	"cache-control": "Cache-Control", "content-type": "Content-Type", "content-disposition": "Content-Disposition",
	"content-encoding": "Content-Encoding", "content-md5": "Content-MD5", "expires": "Expires",
}

// formRequest is what a form's fields say.
type formRequest struct {
	key     string
	header  http.Header // of the PutObject; Authorization only tells the client's scope
	tagging []byte      // as an XML document; nil: none
	sent    []postform.Field
	answer  []postform.Field
}

// readForm sorts the fields of a form. A field that is not documented is refused: S3
// could know it when this does not. Names have no case for S3.
func readForm(f *postform.Form, bucket string) (*formRequest, error) {
	r := &formRequest{header: http.Header{}}
	signature := map[string]string{}
	seen := map[string]bool{}
	hasKey := false
	for _, in := range f.Fields {
		l := strings.ToLower(in.Name)
		as := l
		if name, ok := formAnswers[l]; ok {
			as = name
		}
		if seen[as] {
			return nil, duplicate("form", in.Name)
		}
		seen[as] = true
		switch {
		case formSignature[l]:
			signature[l] = in.Value
			continue
		case strings.HasPrefix(l, "x-ignore-"):
			continue
		case l == "bucket":
			if in.Value != bucket {
				return nil, refusal.New(refusal.Malformed, "the form's field bucket names another bucket than the request (%s)", clip(bucket))
			}
			continue
		}
		value, err := withFilename(in.Value, f.Filename)
		if err != nil {
			return nil, err
		}
		header, known := formHeaders[l]
		if hasAnyPrefix(l, formPrefixes) || l == "x-amz-server-side-encryption" {
			header, known = http.CanonicalHeaderKey(cmp.Or(header, l)), true
		}
		switch name, answers := formAnswers[l]; {
		case l == "key":
			r.key, hasKey = value, true
		case l == "tagging":
			r.tagging = []byte(value)
		case answers:
			r.answer = append(r.answer, postform.Field{Name: name, Value: value})
			l = name
		case !known:
			return nil, refusal.New(refusal.Malformed, "the form has a field %q, which S3's documentation of form uploads does not know", clip(in.Name))
		default:
			if value == "" && !strings.HasPrefix(l, "x-amz-meta-") && sentNames[l] == "" {
				return nil, refusal.New(refusal.Malformed, "the form's field %s is empty; leave it out", clip(in.Name))
			}
			r.header[header] = []string{value}
		}
		r.sent = append(r.sent, postform.Field{Name: cmp.Or(sentNames[l], l), Value: value})
	}
	if err := checkKey(r.key, hasKey); err != nil {
		return nil, err
	}
	for _, a := range r.answer {
		if err := checkHeaders(http.Header{a.Name: {a.Value}}); err != nil {
			return nil, err
		}
	}
	return r, r.claim(signature)
}

// checkKey: a key that is written into a form must be read out of it as the same.
func checkKey(key string, has bool) error {
	switch {
	case !has || key == "":
		return refusal.New(refusal.Malformed, "the form has no key before its file")
	case strings.ContainsFunc(key, unicode.IsControl):
		return refusal.New(refusal.Malformed, "the form's key has a control character; use PutObject")
	case strings.TrimSpace(key) != key:
		return refusal.New(refusal.Malformed, "the form's key begins or ends with a space; use PutObject")
	}
	return nil
}

const filenameVariable = "${filename}"

// withFilename puts the file's name where S3 would, in any field. It is done here so
// that what is judged is what S3 stores; what still looks like the variable then would
// be replaced again there.
func withFilename(value, filename string) (string, error) {
	if strings.Contains(value, filenameVariable) {
		lower := strings.ToLower(filename)
		switch {
		case filename == "":
			return "", refusal.New(refusal.Malformed, "the form asks for ${filename}, and its file has none")
		case strings.Contains(lower, "%22") || strings.Contains(lower, "%0d") || strings.Contains(lower, "%0a"):
			// Browsers write quotes and line breaks so, and not every reader undoes it.
			return "", refusal.New(refusal.Malformed, "the file's name has an escape (%%22, %%0D, %%0A) that servers read in different ways")
		}
		value = strings.ReplaceAll(value, filenameVariable, filename)
	}
	if strings.Contains(strings.ToLower(value), filenameVariable) {
		return "", refusal.New(refusal.Malformed, "the form would hold ${filename} in place of the file's name")
	}
	return value, nil
}

// set changes the value of a field that is sent.
func (r *formRequest) set(name, value string) {
	for i := range r.sent {
		if r.sent[i].Name == name {
			r.sent[i].Value = value
		}
	}
}

// claim notes the scope that the client signed for, as an Authorization header would.
func (r *formRequest) claim(signature map[string]string) error {
	cred, v4 := signature["x-amz-credential"]
	if _, v2 := signature["awsaccesskeyid"]; v4 && v2 {
		return refusal.New(refusal.Malformed, "the form is signed twice, with X-Amz-Credential and AWSAccessKeyId; send one")
	}
	if alg, ok := signature["x-amz-algorithm"]; ok && alg != sigV4 {
		return refusal.New(refusal.Malformed, "the form's X-Amz-Algorithm is not %s, the only one that S3 takes in forms", sigV4)
	}
	if !v4 {
		return nil
	}
	if strings.ContainsAny(cred, ", \t\r\n") {
		return refusal.New(refusal.Malformed, "the request's Credential is not KEY/DATE/REGION/SERVICE/aws4_request")
	}
	r.header.Set("Authorization", sigV4+" Credential="+cred)
	return nil
}

// FormAccessKeyID is AccessKeyID for a form upload, whose fields say it.
func FormAccessKeyID(f *postform.Form) string {
	key := ""
	for _, in := range f.Fields {
		if l := strings.ToLower(in.Name); l != "x-amz-credential" && l != "awsaccesskeyid" {
			continue
		}
		if key != "" {
			return ""
		}
		key, _, _ = strings.Cut(in.Value, "/")
	}
	if len(key) > 128 {
		return ""
	}
	return key
}
