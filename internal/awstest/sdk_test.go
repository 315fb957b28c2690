package awstest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sallyport/sallyport/internal/awstest"
)

func start(t *testing.T, secret string) (*awstest.Server, aws.Config) {
	t.Helper()
	s, err := awstest.Start(awstest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.AddKey(awstest.Key{ID: "AKIAUSER", Secret: "right", Account: awstest.Account, ARN: "arn:aws:iam::" + awstest.Account + ":user/u"}); err != nil {
		t.Fatal(err)
	}
	return s, aws.Config{Region: awstest.Region, HTTPClient: &http.Client{Transport: s.Transport()},
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAUSER", SecretAccessKey: secret}, nil
		})}
}

func TestSDK(t *testing.T) {
	_, cfg := start(t, "right")
	ctx := t.Context()
	files := s3.NewFromConfig(cfg)
	for _, key := range []string{"plain", "with space+plus", "größe/€ (1)!'*", "a//b", "/leading"} {
		if _, err := files.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("acme-dev-reports"), Key: &key, Body: strings.NewReader("hello")}); err != nil {
			t.Fatalf("put %s: %v", key, err)
		}
		got, err := files.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("acme-dev-reports"), Key: &key, Range: aws.String("bytes=1-3")})
		if err != nil {
			t.Fatalf("get %s: %v", key, err)
		}
		if b, _ := io.ReadAll(got.Body); string(b) != "ell" {
			t.Errorf("%s holds %q", key, b)
		}
	}
	list, err := files.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("acme-dev-reports"), Prefix: aws.String("2026/")})
	if err != nil || len(list.Contents) != 3 {
		t.Errorf("%+v %v", list, err)
	}
	item, err := dynamodb.NewFromConfig(cfg).GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("Customers"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "c-1001"}}})
	if err != nil || len(item.Item) != 3 {
		t.Errorf("%+v %v", item, err)
	}
	sec, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("prod/db")})
	if err != nil || !strings.Contains(aws.ToString(sec.SecretString), "password") {
		t.Errorf("%v", err)
	}
}

func TestWrongSecretIsRefused(t *testing.T) {
	s, cfg := start(t, "wrong")
	_, err := secretsmanager.NewFromConfig(cfg).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	if err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("%v", err)
	}
	if got := s.Requests(); len(got) != 1 || got[0].KeyID != "" || !strings.HasPrefix(string(got[0].Head), "POST / HTTP/1.1\r\n") {
		t.Errorf("%+v", got)
	}
}

func TestSessionPolicyIsEnforced(t *testing.T) {
	s, cfg := start(t, "right")
	deadline := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::*"],"Condition":{"DateLessThan":{"aws:CurrentTime":["` + deadline + `"]},"StringEquals":{"aws:ResourceAccount":["` + awstest.Account + `"]}}}]}`
	if err := s.AddKey(awstest.Key{ID: "AKIAUSER", Secret: "right", Account: awstest.Account, Policy: policy}); err != nil {
		t.Fatal(err)
	}
	files := s3.NewFromConfig(cfg)
	if _, err := files.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("acme-dev-reports"), Key: aws.String("2026/q3.csv")}); err != nil {
		t.Error(err)
	}
	if _, err := files.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("partner-exfil"), Key: aws.String("inbox/readme.txt")}); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("another account's bucket: %v", err)
	}
	if _, err := files.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
		t.Error("an action that the policy does not name was allowed")
	}
}
