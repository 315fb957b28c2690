package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

const (
	label             = "demo"
	placeholderSecret = "placeholder-not-a-secret"
	// What the simulated AWS holds and no agent, log or record may show.
	secretValue = "correct-horse-battery-staple"
	ssn         = "078-05-1120"
)

// agent is an ordinary program with the AWS SDK for Go: placeholder keys, a
// proxy, a CA bundle, and nothing else that is special.
func (d *demonstration) agent(ctx context.Context) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	root, err := os.ReadFile(filepath.Join(d.stateDir, "ca", "root.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	proxy := &url.URL{Scheme: "http", Host: d.proxy, User: url.UserPassword(label, token)}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	cfg := aws.Config{
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("dev", placeholderSecret, ""),
		HTTPClient:  &http.Client{Transport: transport},
	}
	for _, step := range []struct {
		title string
		run   func(context.Context, aws.Config) (string, error)
	}{
		{"an allowed read", readObject},
		{"a rule's mask path", readItem},
		{"a secret, masked with no configuration", readSecret},
		{"a write that a person approves", d.writeApproved},
		{"a delete that policy denies", deleteObject},
		{"a bucket in a foreign account, stopped at AWS by the session policy", readForeign},
	} {
		d.steps++
		said, err := step.run(ctx, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
		d.say("%d. %s\n   %s", d.steps, step.title, said)
	}
	return nil
}

func readObject(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("acme-dev-reports"), Key: aws.String("2026/q3.csv")})
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Body.Close() }()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(body), "\n")
	return fmt.Sprintf("s3 get-object acme-dev-reports/2026/q3.csv: %d bytes, first line %q", len(body), line), nil
}

func readItem(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := dynamodb.NewFromConfig(cfg).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("Customers"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "c-1001"}},
	})
	if err != nil {
		return "", err
	}
	name, _ := out.Item["name"].(*types.AttributeValueMemberS)
	number, _ := out.Item["ssn"].(*types.AttributeValueMemberS)
	if name == nil || number == nil || number.Value == ssn {
		return "", errors.New("the item was not masked as its rule says")
	}
	return fmt.Sprintf("dynamodb get-item Customers/c-1001: name %q, ssn %q", name.Value, number.Value), nil
}

func readSecret(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("prod/db")})
	if err != nil {
		return "", err
	}
	if strings.Contains(aws.ToString(out.SecretString), secretValue) {
		return "", errors.New("the secret reached the agent")
	}
	return fmt.Sprintf("secretsmanager get-secret-value %s: SecretString %q", aws.ToString(out.Name), aws.ToString(out.SecretString)), nil
}

// writeApproved is held until the approver has agreed.
func (d *demonstration) writeApproved(ctx context.Context, cfg aws.Config) (string, error) {
	asked := ""
	approver := make(chan error, 1)
	go func() { approver <- d.approve(ctx, func(headline string) { asked = headline }) }()
	_, err := s3.NewFromConfig(cfg).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String("acme-dev-reports"), Key: aws.String("2026/q4.csv"), Body: strings.NewReader("region,revenue\nemea,2\n"),
	})
	if err := errors.Join(err, <-approver); err != nil {
		return "", err
	}
	return fmt.Sprintf("s3 put-object acme-dev-reports/2026/q4.csv: held for an approver, who was shown\n   %s\n   and agreed; sent once", asked), nil
}

func deleteObject(ctx context.Context, cfg aws.Config) (string, error) {
	_, err := s3.NewFromConfig(cfg).DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("acme-dev-reports"), Key: aws.String("2026/q3.csv")})
	return refused(err, "sallyport: ")
}

func readForeign(ctx context.Context, cfg aws.Config) (string, error) {
	_, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("partner-exfil"), Key: aws.String("inbox/readme.txt")})
	return refused(err, "")
}

// refused expects an AWS error whose message begins with prefix, as the SDK gives
// it to any program.
func refused(err error, prefix string) (string, error) {
	var api smithy.APIError
	switch {
	case err == nil:
		return "", errors.New("it went through")
	case !errors.As(err, &api):
		return "", err
	case !strings.HasPrefix(api.ErrorMessage(), prefix):
		return "", fmt.Errorf("refused by somebody else: %w", err)
	}
	return api.ErrorCode() + ": " + api.ErrorMessage(), nil
}

// search looks for texts in all files below dir.
func search(dir string, texts ...[]byte) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(content, text) {
				found = path
			}
		}
		return err
	})
	return found, err
}
