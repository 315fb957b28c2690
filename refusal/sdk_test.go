package refusal

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// TestGoSDKRaisesItOnce drives the real SDK against a server that refuses: the
// SDK must show our code and sentence, and must not try again.
func TestGoSDKRaisesItOnce(t *testing.T) {
	calls := map[string]struct {
		shape Shape
		call  func(context.Context, aws.Config) error
		code  string
	}{
		"s3": {Shape{Protocol: "rest-xml", S3: true}, func(ctx context.Context, c aws.Config) error {
			_, err := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
			return err
		}, "AccessDenied"},
		"dynamodb": {Shape{Protocol: "json", JSONVersion: "1.0", Namespace: "com.amazonaws.dynamodb.v20120810"}, func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).ListTables(ctx, &dynamodb.ListTablesInput{})
			return err
		}, "AccessDeniedException"},
		"sts": {Shape{Protocol: "query"}, func(ctx context.Context, c aws.Config) error {
			_, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			return err
		}, "AccessDenied"},
		"secretsmanager": {Shape{Protocol: "json", JSONVersion: "1.1"}, func(ctx context.Context, c aws.Config) error {
			_, err := secretsmanager.NewFromConfig(c).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
			return err
		}, "AccessDeniedException"},
	}
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			requests := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests++
				status, h, body := Render(c.shape, New(Denied, "%s", messages["plain"]), requestID)
				for k, v := range h {
					w.Header()[k] = v
				}
				w.WriteHeader(status)
				if _, err := w.Write(body); err != nil {
					t.Error(err)
				}
			}))
			defer srv.Close()
			err := c.call(t.Context(), aws.Config{
				Region:       "eu-west-1",
				BaseEndpoint: aws.String(srv.URL),
				HTTPClient:   srv.Client(),
				Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					return aws.Credentials{AccessKeyID: "dev", SecretAccessKey: "placeholder"}, nil
				}),
			})
			var api smithy.APIError
			if !errors.As(err, &api) {
				t.Fatalf("not an API error: %v", err)
			}
			if api.ErrorCode() != c.code || !strings.HasPrefix(api.ErrorMessage(), "sallyport: ec2:TerminateInstances") {
				t.Errorf("the SDK shows %q %q", api.ErrorCode(), api.ErrorMessage())
			}
			if !strings.Contains(err.Error(), requestID) {
				t.Errorf("the printed error does not name the request: %v", err)
			}
			if requests != 1 {
				t.Errorf("%d requests, want 1", requests)
			}
		})
	}
}
