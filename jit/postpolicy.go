package jit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/refusal"
)

// signUpload builds the request of a form upload: its fields as judged, a POST policy
// that holds S3 to each of them, its signature, and the file (Amazon S3 API Reference,
// "Authenticating requests in browser-based uploads using POST"). Nothing is signed in
// headers. The boundary is random, so that neither a value nor the file can hold it.
func signUpload(ctx context.Context, m message, body io.Reader, cred *Credential, now time.Time) (*http.Request, error) {
	u := *m.upload
	file, ok := body.(*postform.File)
	if !ok || file == nil || file.Most() != u.Most || u.Bucket == "" || m.regionSet != "" || m.name != "s3" {
		return nil, refusal.New(refusal.Malformed, "there is no file to this form, or it is not for S3")
	}
	sent, err := exactURL(m)
	if err != nil {
		return nil, err
	}
	fields, err := signFields(m, u, cred, now.UTC())
	if err != nil {
		return nil, err
	}
	boundary := rand.Text()
	form, length := postform.Body(fields, file, boundary)
	header := m.header.Clone()
	header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = []string{""} // else net/http adds one of its own
	}
	req := (&http.Request{
		Method: m.method, URL: sent, Host: m.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	m.streams, m.length = true, length
	setBody(req, m, form)
	return req, nil
}

// signFields are the fields of u with those that sign them.
func signFields(m message, u awsapi.Upload, cred *Credential, now time.Time) ([]postform.Field, error) {
	date := now.Format("20060102T150405Z")
	scope := []string{date[:8], m.region, m.name, "aws4_request"}
	fields := append(u.Fields,
		postform.Field{Name: "x-amz-algorithm", Value: "AWS4-HMAC-SHA256"},
		postform.Field{Name: "x-amz-credential", Value: cred.accessKeyID + "/" + strings.Join(scope, "/")},
		postform.Field{Name: "x-amz-date", Value: date},
		postform.Field{Name: "x-amz-security-token", Value: cred.sessionToken.Reveal()},
	)
	policy, err := postPolicy(u, fields, cred.sessionPolicy.Deadline)
	if err != nil {
		return nil, err
	}
	key := signingKey(cred, scope)
	defer clear(key)
	return append(fields, postform.Field{Name: "policy", Value: policy}, postform.Field{Name: "x-amz-signature", Value: hex.EncodeToString(mac(key, policy))}), nil
}

// postPolicy is a policy that allows one form and no other, in base64.
func postPolicy(u awsapi.Upload, fields []postform.Field, deadline time.Time) (string, error) {
	if deadline.IsZero() {
		return "", refusal.New(refusal.Credentials, "the credential says no deadline for a form's policy")
	}
	conditions := [][]any{{"eq", "$bucket", policyText(u.Bucket)}}
	for _, f := range fields {
		conditions = append(conditions, []any{"eq", "$" + f.Name, policyText(f.Value)})
	}
	if u.Most >= 0 {
		conditions = append(conditions, []any{"content-length-range", max(0, u.Most-2), u.Most})
	}
	text, err := json.Marshal(map[string]any{"expiration": deadline.UTC().Format("2006-01-02T15:04:05.000Z"), "conditions": conditions})
	if err != nil {
		return "", refusal.Wrap(refusal.Malformed, err, "the form's fields cannot be written into a policy")
	}
	return base64.StdEncoding.EncodeToString(text), nil
}

// policyText is a value in a POST policy. A dollar sign must be escaped there ("POST
// policy", character escaping): `\$` is no JSON, so it is written as what both S3 and a
// reader of plain JSON know.
type policyText string

// MarshalJSON implements json.Marshaler.
func (t policyText) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(string(t))
	return bytes.ReplaceAll(text, []byte("$"), []byte(`\u0024`)), err
}
