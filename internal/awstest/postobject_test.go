package awstest_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sallyport/sallyport/internal/awstest"
)

// The SDK's own form uploads are taken, and nothing else is.
func TestPostObject(t *testing.T) {
	for name, c := range map[string]struct {
		secret string
		change func(form map[string]string)
		later  time.Duration // of the server's clock
		file   string
		code   string
	}{
		"right":             {},
		"wrong secret":      {secret: "wrong", code: "SignatureDoesNotMatch"},
		"another policy":    {change: func(f map[string]string) { f["policy"] = base64.StdEncoding.EncodeToString([]byte(`{}`)) }, code: "SignatureDoesNotMatch"},
		"another key":       {change: func(f map[string]string) { f["key"] = "forms/other" }, code: "AccessDenied"},
		"another date":      {change: func(f map[string]string) { f["X-Amz-Date"] = "20200101T000000Z" }, code: "AccessDenied"},
		"expired":           {later: 2 * time.Minute, code: "AccessDenied"},
		"a field more":      {change: func(f map[string]string) { f["acl"] = "public-read" }, code: "AccessDenied"},
		"an ignored field":  {change: func(f map[string]string) { f["x-ignore-a"] = "b" }},
		"no policy":         {change: func(f map[string]string) { delete(f, "policy") }, code: "AccessDenied"},
		"longer than range": {file: "hello, and more", code: "EntityTooLarge"},
		"a token":           {change: func(f map[string]string) { f["X-Amz-Security-Token"] = "x" }, code: "InvalidToken"},
		"too long": {change: func(f map[string]string) { f["x-ignore-a"] = strings.Repeat("a", 20<<10) },
			code: "MaxPostPreDataLengthExceededError"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := awstest.Start(awstest.Config{Now: func() time.Time { return time.Now().Add(c.later) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.AddKey(awstest.Key{ID: "AKIAUSER", Secret: cmp.Or(c.secret, "right"), Account: awstest.Account}); err != nil {
				t.Fatal(err)
			}
			_, cfg := start(t, "right")
			form, err := s3.NewPresignClient(s3.NewFromConfig(cfg)).PresignPostObject(t.Context(),
				&s3.PutObjectInput{Bucket: aws.String("acme-dev-reports"), Key: aws.String("forms/a")},
				func(o *s3.PresignPostOptions) {
					o.Expires = time.Minute
					o.Conditions = []any{[]any{"content-length-range", 0, 10}}
				})
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(form.Values)
			}
			var body bytes.Buffer
			w := multipart.NewWriter(&body)
			for k, v := range form.Values {
				_ = w.WriteField(k, v)
			}
			p, _ := w.CreateFormFile("file", "f")
			_, _ = io.WriteString(p, cmp.Or(c.file, "hello"))
			_ = w.Close()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, form.URL, &body)
			req.Header.Set("Content-Type", w.FormDataContentType())
			resp, err := s.Transport().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			got := s.Requests()[0]
			if got.ErrorCode != c.code || (c.code == "") != (resp.StatusCode == http.StatusNoContent && got.Action == "s3:PutObject" && got.Resource == "arn:aws:s3:::acme-dev-reports/forms/a") {
				t.Errorf("%d %+v", resp.StatusCode, got)
			}
		})
	}
}
