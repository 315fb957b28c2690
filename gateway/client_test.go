package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// What an agent holds, and nobody beyond the gateway may see.
const (
	label             = "agent-7"
	placeholderSecret = "placeholder-SECRET-canary-41c0"
	clientSignature   = "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"
)

const (
	s3Host      = "s3.us-east-1.amazonaws.com"
	dynamoHost  = "dynamodb.us-east-1.amazonaws.com"
	secretsHost = "secretsmanager.us-east-1.amazonaws.com"
	ec2Host     = "ec2.us-east-1.amazonaws.com"
	lambdaHost  = "lambda.us-east-1.amazonaws.com"
	stsHost     = "sts.us-east-1.amazonaws.com"
)

// sdk is the configuration of the real SDK behind the proxy, with target as its
// access key id. Nothing is retried, so that each call is one request.
func (r *rig) sdk(token, target string) aws.Config {
	proxy := &url.URL{Scheme: "http", Host: r.srv.Proxy.String(), User: url.UserPassword(label, token)}
	transport := &http.Transport{
		Proxy:           http.ProxyURL(proxy),
		TLSClientConfig: &tls.Config{RootCAs: r.roots, MinVersion: tls.VersionTLS12, Time: r.clock.now},
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return aws.Config{
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(target, placeholderSecret, ""),
		HTTPClient:  &http.Client{Transport: transport},
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// connect sends a CONNECT with these header lines and gives the answer's head.
func (r *rig) connect(t *testing.T, authority string, header ...string) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", r.srv.Proxy.String())
	must(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprintf(nc, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", authority, authority, lines(header))
	must(t, err)
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	must(t, err)
	return resp, nc, br
}

func basic(token string) string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(label+":"+token))
}

func lines(header []string) string {
	if len(header) == 0 {
		return ""
	}
	return strings.Join(header, "\r\n") + "\r\n"
}

// tunnel is a raw TLS connection inside a CONNECT.
type tunnel struct {
	*tls.Conn
	r    *bufio.Reader
	host string
}

func (r *rig) tunnel(t *testing.T, host, token string) *tunnel {
	t.Helper()
	return r.tunnelBy(t, host, basic(token))
}

// tunnelBy is tunnel for a caller who shows who they are in their own way.
func (r *rig) tunnelBy(t *testing.T, host, authorization string) *tunnel {
	t.Helper()
	resp, nc, br := r.connect(t, host+":443", authorization)
	if resp.StatusCode != http.StatusOK || br.Buffered() > 0 {
		t.Fatalf("CONNECT %s: %s", host, resp.Status)
	}
	c := tls.Client(nc, &tls.Config{ServerName: host, RootCAs: r.roots, MinVersion: tls.VersionTLS12, Time: r.clock.now})
	must(t, c.HandshakeContext(t.Context()))
	return &tunnel{Conn: c, r: bufio.NewReader(c), host: host}
}

// clientOf is tunnel for a goroutine of its own, which may not end the test.
func (r *rig) clientOf(nc net.Conn, host, token string) (*tunnel, error) {
	if _, err := fmt.Fprintf(nc, "CONNECT %s:443 HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", host, basic(token)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("CONNECT: %w", errors.Join(err, errors.New("refused")))
	}
	c := tls.Client(nc, &tls.Config{ServerName: host, RootCAs: r.roots, MinVersion: tls.VersionTLS12, Time: r.clock.now})
	return &tunnel{Conn: c, r: bufio.NewReader(c), host: host}, c.Handshake()
}

// answer is one answer, its body read whole.
type answer struct {
	*http.Response
	body []byte
	err  error // of reading the body
}

func (a answer) id() string     { return a.Header.Get("X-Sallyport-Request-Id") }
func (a answer) reason() string { return a.Header.Get("X-Sallyport-Reason") }

// raw sends bytes as they are and reads one answer.
func (c *tunnel) raw(t *testing.T, method, request string) answer {
	t.Helper()
	_, err := io.WriteString(c, request)
	must(t, err)
	return c.read(t, method)
}

func (c *tunnel) read(t *testing.T, method string) answer {
	t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	a := answer{Response: resp}
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

// do sends a request with a placeholder signature, as an SDK would.
func (c *tunnel) do(t *testing.T, method, target, body string, header ...string) answer {
	t.Helper()
	return c.raw(t, method, c.request(method, target, body, header...))
}

func (c *tunnel) request(method, target, body string, header ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, c.host)
	if !strings.Contains(lines(header), "Authorization:") {
		b.WriteString(c.signature("dev") + "\r\n")
	}
	if body != "" || method == http.MethodPost || method == http.MethodPut {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString(lines(header) + "\r\n" + body)
	return b.String()
}

// signature is an Authorization header line that names key and proves nothing.
func (c *tunnel) signature(key string) string {
	service, region, _ := strings.Cut(strings.TrimSuffix(c.host, ".amazonaws.com"), ".")
	if i := strings.LastIndex(region, "."); i >= 0 { // bucket.s3.region
		service, region = "s3", region[i+1:]
	}
	return fmt.Sprintf("Authorization: AWS4-HMAC-SHA256 Credential=%s/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=%s",
		key, region, service, clientSignature)
}

// jsonCall is the headers of a JSON protocol request.
func jsonCall(target string) []string {
	version := "1.1"
	if strings.HasPrefix(target, "DynamoDB") {
		version = "1.0"
	}
	return []string{"Content-Type: application/x-amz-json-" + version, "X-Amz-Target: " + target}
}

const getItem = `{"TableName":"Customers","Key":{"id":{"S":"c-1001"}}}`

func (c *tunnel) getItem(t *testing.T) answer {
	t.Helper()
	return c.do(t, http.MethodPost, "/", getItem, jsonCall("DynamoDB_20120810.GetItem")...)
}

func (c *tunnel) getSecret(t *testing.T) answer {
	t.Helper()
	return c.do(t, http.MethodPost, "/", `{"SecretId":"prod/db"}`, jsonCall("secretsmanager.GetSecretValue")...)
}

// form is a call in the query protocols.
func (c *tunnel) form(t *testing.T, body string) answer {
	t.Helper()
	return c.do(t, http.MethodPost, "/", body, "Content-Type: application/x-www-form-urlencoded; charset=utf-8")
}

// refused fails unless a is a refusal of ours, with this status and reason.
func refused(t *testing.T, a answer, status int, reason string) {
	t.Helper()
	if a.StatusCode != status || a.reason() != reason || a.id() == "" {
		t.Fatalf("got %d, reason %q, request id %q\n%s\nwant %d %q", a.StatusCode, a.reason(), a.id(), a.body, status, reason)
	}
}

func passed(t *testing.T, a answer, status int) {
	t.Helper()
	if a.StatusCode != status || a.reason() != "" || a.id() == "" || a.err != nil {
		t.Fatalf("got %d, reason %q, request id %q, read error %v\n%s\nwant %d from AWS", a.StatusCode, a.reason(), a.id(), a.err, a.body, status)
	}
}
