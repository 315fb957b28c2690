package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// otherSignatures are the clients that sign in other ways than by SigV4 in the headers
// over the whole request: presigned URLs, browsers' forms, signature version 2, and
// bodies whose every chunk is signed. Some have lines for uploading and downloading alone.
func otherSignatures(all []client) []client {
	byName := map[string]client{}
	for _, c := range all {
		byName[c.name] = c
	}
	const hidden = "returned error: 403" // curl's, with -f
	boto, cli, s3cmd, golang := byName["boto3"], byName["AWS CLI v1"], byName["s3cmd"], byName["SDK for Go v2"]
	presigned := client{name: "presigned by boto3", otherHost: true, find: boto.find, how: boto.how, env: boto.env, version: boto.version, refused: hidden,
		put: `U=$(python3 "$AGENT" presign PUT); curl -sSf -T "$F" "$U"`,
		get: `U=$(python3 "$AGENT" presign GET); curl -sSf -o "$D" "$U"`}
	form, curlForm := presigned, presigned
	form.name, form.put, form.get, form.refused = "a form by boto3 and requests", `python3 "$AGENT" form`, `python3 "$AGENT" get`, ""
	form.find = func() string { return works("python3", "-c", "import boto3, requests") }
	curlForm.name, curlForm.put, curlForm.get, curlForm.refused = "a form by boto3 and curl -F", `python3 "$AGENT" curl_form | curl -sS --fail-with-body --config -`, form.get, ""
	presignedCLI := client{name: "presigned by the AWS CLI v1", otherHost: true, find: cli.find, how: cli.how, version: cli.version,
		put: cli.put, // it presigns GET alone
		get: `U=$("$X" s3 presign "s3://$B/$K"); curl -sSf -o "$D" "$U"`}
	v2 := s3cmd
	v2.name = "s3cmd --signature-v2"
	for _, line := range []*string{&v2.put, &v2.multi, &v2.get, &v2.head, &v2.part, &v2.list, &v2.remove} {
		*line = strings.ReplaceAll(*line, `"$X" -c`, `"$X" --signature-v2 -c`)
	}
	chunks, trailer := golang, golang
	chunks.noRetry, trailer.noRetry = true, true // they are one request of net/http
	chunks.name, chunks.put, chunks.multi, chunks.oneChunk = "signed chunks", goAgentVariable+`=chunks "$X"`, "", false
	trailer.name, trailer.put, trailer.multi, trailer.oneChunk = "signed chunks and trailer", goAgentVariable+`=trailer "$X"`, "", false
	return []client{presigned, presignedCLI, form, curlForm, v2, chunks, trailer}
}

// goChunks puts an object as STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or -TRAILER with a
// CRC32: the form of the SDKs for Java, and of MinIO's over http. The SDK for Go
// has no such signer.
func goChunks(ctx context.Context, cfg aws.Config, trailer bool) error {
	body, err := os.ReadFile(os.Getenv("F"))
	if err != nil {
		return err
	}
	creds, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	form := "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("https://%s.s3.%s.amazonaws.com/%s", os.Getenv("B"), os.Getenv("R"), os.Getenv("U")), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Encoding", "aws-chunked")
	req.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(body)))
	if trailer {
		form += "-TRAILER"
		req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	}
	req.Header.Set("X-Amz-Content-Sha256", form)
	now := time.Now().UTC()
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, form, "s3", cfg.Region, now, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }); err != nil {
		return err
	}
	_, previous, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	scope := now.Format("20060102") + "/" + cfg.Region + "/s3/aws4_request"
	key := []byte("AWS4" + creds.SecretAccessKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	sign := func(kind string, lines ...string) string {
		text := strings.Join(append([]string{"AWS4-HMAC-SHA256-" + kind, now.Format("20060102T150405Z"), scope, previous}, lines...), "\n")
		previous = hex.EncodeToString(mac(key, text))
		return previous
	}
	var wire bytes.Buffer
	for rest := body; ; {
		chunk := rest[:min(len(rest), 64<<10)]
		rest = rest[len(chunk):]
		fmt.Fprintf(&wire, "%x;chunk-signature=%s\r\n", len(chunk), sign("PAYLOAD", digest(nil), digest(chunk)))
		if len(chunk) == 0 {
			break
		}
		wire.Write(chunk)
		wire.WriteString("\r\n")
	}
	if trailer {
		hash := crc32.NewIEEE()
		hash.Write(body)
		sum := "x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(hash.Sum(nil))
		fmt.Fprintf(&wire, "%s\r\nx-amz-trailer-signature:%s\r\n", sum, sign("TRAILER", digest([]byte(sum+"\n"))))
	}
	wire.WriteString("\r\n")
	req.Body, req.ContentLength = io.NopCloser(&wire), int64(wire.Len())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
