package jit

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

// The example of the documentation ("Browser-based upload using HTTP POST (using AWS
// Signature Version 4)"): what is signed is the policy in base64.
func TestPostPolicySignatureOfTheDocumentation(t *testing.T) {
	const policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
	key := signingKey(exampleKey, []string{"20151229", "us-east-1", "s3", "aws4_request"})
	if got := hex.EncodeToString(mac(key, policy)); got != "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e" {
		t.Errorf("signed as %s", got)
	}
}

const clientForm = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhello\r\n--b--\r\n"

func uploadMessage(t *testing.T, length int64, fields ...postform.Field) (message, *postform.File) {
	t.Helper()
	f, err := postform.Read(strings.NewReader(clientForm), "b", length)
	if err != nil {
		t.Fatal(err)
	}
	m := s3Message(http.MethodPost, "/")
	m.upload = &awsapi.Upload{Bucket: "acme-dev-reports", Fields: fields, Most: f.File.Most()}
	return m, f.File
}

func uploadCredential(deadline time.Time) *Credential {
	return &Credential{accessKeyID: "ASIATEST", secretKey: secret.New("sec"), sessionToken: secret.New("tok"), sessionPolicy: Policy{Deadline: deadline}}
}

// Each field that is sent has an exact condition, the file its size; nothing is signed
// in headers, and S3 takes it.
func TestSignUpload(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	testCredential(t, s)
	fields := []postform.Field{{Name: "key", Value: `größe/"$\{}<&>`}, {Name: "Content-Type", Value: "text/plain"}, {Name: "x-amz-meta-a$", Value: "${b}\u2028"}, {Name: "success_action_status", Value: "201"}}
	deadline := time.Now().Add(time.Minute)
	for name, length := range map[string]int64{"length": int64(len(clientForm)), "chunked": -1} {
		m, file := uploadMessage(t, length, fields...)
		s.Forget()
		req, err := sign(t.Context(), m, file, uploadCredential(deadline), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if (req.ContentLength < 0) != (length < 0) || len(req.Header) != 2 || req.URL.RequestURI() != "/" {
			t.Errorf("%s: %d bytes to %s, %v", name, req.ContentLength, req.URL, req.Header)
		}
		resp, err := s.Transport().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		got := s.Requests()[0]
		if resp.StatusCode != http.StatusCreated || got.KeyID != "ASIATEST" || got.Form["key"] != fields[0].Value || got.Form["x-amz-meta-a$"] != fields[2].Value {
			t.Fatalf("%s: %d, %+v", name, resp.StatusCode, got)
		}
		text, _ := base64.StdEncoding.DecodeString(got.Form["policy"])
		var policy struct {
			Expiration string
			Conditions [][]any
		}
		if err := json.Unmarshal(text, &policy); err != nil {
			t.Fatal(err)
		}
		exact := map[string]any{}
		for _, c := range policy.Conditions {
			if c[0] == "eq" {
				exact[strings.ToLower(c[1].(string))] = c[2] //nolint:forcetypeassert // a test
			} else if c[0] != "content-length-range" || c[1] != 5.0 || c[2] != 7.0 || length < 0 {
				t.Errorf("%s: the condition %v", name, c)
			}
		}
		if len(policy.Conditions) != len(exact)+map[bool]int{true: 1}[length >= 0] || policy.Expiration != deadline.UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("%s: %s", name, text)
		}
		for field, value := range got.Form {
			if field != "policy" && field != "x-amz-signature" && exact["$"+field] != value {
				t.Errorf("%s: %s is %q, its condition %q", name, field, value, exact["$"+field])
			}
		}
		if strings.Count(string(text), "$") != len(exact)+1 { // one begins each name, one is in a name
			t.Errorf("%s: a dollar sign in a value is not escaped: %s", name, text)
		}
	}
}

// No two boundaries are the same: nobody can write one into a file.
func TestUploadBoundary(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		m, file := uploadMessage(t, int64(len(clientForm)), postform.Field{Name: "key", Value: "k"})
		req, err := sign(t.Context(), m, file, uploadCredential(time.Now().Add(time.Minute)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
		if b := params["boundary"]; err != nil || len(b) < 26 || seen[b] {
			t.Errorf("boundary %q", b)
		}
		seen[params["boundary"]] = true
		if f, err := multipart.NewReader(req.Body, params["boundary"]).ReadForm(1 << 20); err != nil || len(f.File) != 1 {
			t.Errorf("%v, %v", f, err)
		}
	}
}

func TestSignUploadRefuses(t *testing.T) {
	key := postform.Field{Name: "key", Value: "k"}
	for name, change := range map[string]func(m *message, body *io.Reader, c *Credential) refusal.Reason{
		"no file": func(_ *message, b *io.Reader, _ *Credential) refusal.Reason { *b = nil; return refusal.Malformed },
		"another body": func(_ *message, b *io.Reader, _ *Credential) refusal.Reason {
			*b = strings.NewReader("hello")
			return refusal.Malformed
		},
		"another file": func(m *message, _ *io.Reader, _ *Credential) refusal.Reason {
			m.upload.Most++
			return refusal.Malformed
		},
		"no bucket": func(m *message, _ *io.Reader, _ *Credential) refusal.Reason {
			m.upload.Bucket = ""
			return refusal.Malformed
		},
		"another service": func(m *message, _ *io.Reader, _ *Credential) refusal.Reason { m.name = "sts"; return refusal.Malformed },
		"every region": func(m *message, _ *io.Reader, _ *Credential) refusal.Reason {
			m.region, m.regionSet = "", "*"
			return refusal.Malformed
		},
		"no deadline": func(_ *message, _ *io.Reader, c *Credential) refusal.Reason {
			c.sessionPolicy = Policy{}
			return refusal.Credentials
		},
		"wiped credential": func(_ *message, _ *io.Reader, c *Credential) refusal.Reason { c.Wipe(); return refusal.Credentials },
	} {
		m, file := uploadMessage(t, int64(len(clientForm)), key)
		body, cred := io.Reader(file), uploadCredential(time.Now().Add(time.Minute))
		want := change(&m, &body, cred)
		if req, err := sign(t.Context(), m, body, cred, time.Now()); err == nil || refusal.Of(err).Reason != want {
			t.Errorf("%s: %v, %v", name, req, err)
		}
	}
}
