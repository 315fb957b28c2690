package detect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// Ordinary AWS answers stay: the samples of package mask, whose values are markers,
// digests, times and base64 as botocore writes them. With DETECT_ORACLE, the mask
// oracle's whole output (a gzip file) is read as well, and each marker is tried under its
// member's name.
func TestAnswersSurvive(t *testing.T) {
	s := mustNew(t, DefaultSets()...)
	n := 0
	lines(t, "../testdata/samples.jsonl.gz", func(line []byte) {
		var sample struct {
			Service, Operation string
			Body               []byte
		}
		if err := json.Unmarshal(line, &sample); err != nil {
			t.Fatal(err)
		}
		n++
		untouched(t, s, sample.Service+"."+sample.Operation, "", plainBody(sample.Body))
	})
	if n < 100 {
		t.Fatalf("only %d samples", n)
	}
	file := os.Getenv("DETECT_ORACLE")
	if file == "" {
		return
	}
	markers := 0
	lines(t, file, func(line []byte) {
		var sample struct {
			Identity struct{ Service, Operation string }
			Response struct{ BodyBase64 []byte }
			Expect   struct {
				MustSurvive []struct {
					Path string
					Raw  any
				}
			}
		}
		if err := json.Unmarshal(line, &sample); err != nil {
			t.Fatal(err)
		}
		name := sample.Identity.Service + "." + sample.Identity.Operation
		untouched(t, s, name, "", plainBody(sample.Response.BodyBase64))
		for _, m := range sample.Expect.MustSurvive {
			if text, ok := m.Raw.(string); ok {
				markers++
				untouched(t, s, name, m.Path[strings.LastIndexByte(m.Path, '.')+1:], []byte(text))
			}
		}
	})
	t.Logf("%d markers", markers)
}

func plainBody(body []byte) []byte {
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if plain, err := io.ReadAll(z); err == nil {
			return plain
		}
	}
	return body
}

func lines(t *testing.T, name string, visit func([]byte)) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		visit(sc.Bytes())
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
}

func untouched(t *testing.T, s *Scanner, name, label string, text []byte) {
	t.Helper()
	if out, hits := s.Mask(label, text, masked); hits != nil || !bytes.Equal(out, text) {
		t.Errorf("%s: %v in %q %.300q", name, hits, label, text)
	}
}

// What AWS's answers are full of and what looks like a secret at a glance.
func TestLookAlikesSurvive(t *testing.T) {
	s := mustNew(t, DefaultSets()...)
	for label, text := range map[string]string{
		"NextToken":                 "eyJOZXh0VG9rZW4iOiBudWxsLCAiYm90b190cnVuY2F0ZV9hbW91bnQiOiAxMH0=",
		"nextToken":                 "AAQA-EFRSURBSGpZcWJwUWxPdHZJWVhlZ2RLVXVGbVhYcjhqeGVKQm9WZGJIUEhsbEtBQUFBQUFDNG4zWFhpdm9KK1lJR3hHd0VaWVdJQUFBQQ",
		"NextMarker":                "AQICAHhLYW1iZGFNYXJrZXI1WjV3Y0tTQm9kSGtBQUFCM3pDQjNBWUpLb1pJaHZjTkFRY0dvSUhPTUlITEFnRUFNSUhGQmdrcWhraUc5dzBCQndFd0hnWUpZSVpJQVdVREJBRXVNQkVFREE",
		"LastEvaluatedKey":          `{"pk":{"S":"user#8f14e45fceea167a5a36dedd4bea2543"}}`,
		"ContinuationToken":         "1-20e5f9-0VYlVqTLwHZ0cGvbS1Y+FoYqHB0jQ2bL6T4xGXJk9nO1aR3dZcWmE5uPpQ==",
		"Arn":                       "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling_CustomSuffixABCDEF",
		"KeyId":                     "1234abcd-12ab-34cd-56ef-1234567890ab",
		"KmsKeyId":                  "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
		"ImageId":                   "ami-0abcdef1234567890",
		"ETag":                      `"9b2cf535f27731c974343645a3985328-12"`,
		"VersionId":                 "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
		"x-amz-id-2":                "eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran",
		"RequestId":                 "79104EXAMPLEB723",
		"SHA1":                      "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"secret_key_sha":            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"CodeSha256":                "FjaWMdo1Pp8qHb0rSg0p0Yb0hTcLq0lBy7gjgdGVf1o=",
		"ReceiptHandle":             "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a+jQvMC9kW0xq1T8jZ5bQmP2dN4vR7uHsXoYcEi==",
		"UserId":                    "AIDACKCEVSQ6C2EXAMPLE",
		"RoleId":                    "AROACLKWSDQRAOEXAMPLE",
		"AccessKeyId":               "AKIAIOSFODNN7EXAMPLE",
		"aws_access_key_id":         "AKIAIOSFODNN7EXAMPLE",
		"LastUsedAccessKeyId":       "ASIAIOSFODNN7EXAMPLE",
		"SecretAccessKeyLastChange": "2026-03-14T09:21:07.412Z and nothing else here",
		"SecretName":                "prod/db/SecretKeyReferenceForTheOrdersService",
		"Certificate":               "-----BEGIN CERTIFICATE-----\nMIIDXTCCAkWgAwIBAgIJAKL0UG+mRkSvMA0GCSqGSIb3DQEBCwUAMEUxCzAJBgNV\n-----END CERTIFICATE-----",
		"PublicKey":                 "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n-----END PUBLIC KEY-----",
		"SshKey":                    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops@example",
		"CertificateInBase64":       "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURYVENDQWtXZ0F3SUJBZ0lKQUtMMFVHK21Sa1N2TUEwR0NTcUdTSWIzRFFFQkN3VUFNRVV4",
		"Prose":                     "The file begins with -----BEGIN PRIVATE KEY----- and the rest of it is up to you.",
		"Twitter":                   "twitter-bot: deployed; sonar=off, okta: https://example.okta.com, sumo -> square",
		"Masked":                    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"UserData":                  "IyEvYmluL2Jhc2gKeXVtIHVwZGF0ZSAteQp5dW0gaW5zdGFsbCAteSBodHRwZApzZXJ2aWNlIGh0dHBkIHN0YXJ0Cg==",
		"AuthorizationMessage":      "Encoded authorization failure message: Lhh3kP9nQ2vWcXyZ0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789AbCdEfGhIjKlMnOp",
		"Url":                       "https://sqs.us-east-1.amazonaws.com/123456789012/MyQueue?Action=SendMessage&Body=a%20b%2Fc",
		"Replacement":               "sallyport/masked",
	} {
		untouched(t, s, "look-alike", label, []byte(text))
		doc, _ := json.Marshal(map[string]string{label: text})
		untouched(t, s, "look-alike in JSON", "", doc)
		if !strings.Contains(label, "ccess") {
			untouched(t, s, "look-alike without label", "", []byte(text))
		}
	}
}
