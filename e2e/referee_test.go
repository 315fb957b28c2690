package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sallyport/sallyport/internal/oidctest"
)

// A referee is an S3 server that is not ours and verifies every signature, seed
// and chunks: what it took was re-signed right. A front stands before it, which
// passes S3 on as it is and answers for STS.
//
// What comes out of the front is verified by the referee; the AssumeRole that
// goes into it is not (internal/awstest verifies that one).
type referee struct {
	name   string
	region string
	t      *testing.T
	root   aws.CredentialsProvider
	direct *s3.Client // past the gateway, as root
	front  *httptest.Server
	sts    func(form url.Values) (stsCredentials, error)

	mu      sync.Mutex
	seen    []seen
	instead func(http.ResponseWriter, *http.Request) bool // answers for the server, if true; nil: never
}

// seen is one S3 request as it came out of the gateway, with what the referee said.
type seen struct {
	method  string
	query   url.Values
	payload string // x-amz-content-sha256, "sha256" for a digest
	framing string // "length" or "chunked"
	status  int
}

type stsCredentials struct {
	AccessKeyId, SecretAccessKey, SessionToken, Expiration string
}

const matrixBucket = "acme-matrix"

// tool is a program that a test needs: named by a variable, in bin/, or in PATH.
func tool(variable, name string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	if path, err := filepath.Abs(filepath.Join("..", "bin", name)); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, _ := exec.LookPath(name)
	return path
}

// need skips, or fails where every client is required, when a program is not there.
func need(t *testing.T, path, name, how string) string {
	t.Helper()
	if path == "" {
		absent(t, name+" is not installed: "+how)
	}
	return path
}

func absent(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("SALLYPORT_REQUIRE_CLIENTS") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// startMinIO is MinIO, which is its own STS: the session policies that the gateway
// makes are in force, less what MinIO does not know.
func startMinIO(t *testing.T) *referee {
	t.Helper()
	program := need(t, tool("SALLYPORT_MINIO", "minio"), "MinIO", "go install github.com/minio/minio at .ci/clients' version (about 5 minutes), then name it in SALLYPORT_MINIO")
	idp, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "certs", "CAs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "certs", "CAs", "idp.crt"), idp.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + freePort(t)
	r := &referee{name: "MinIO", region: "us-east-1", root: credentials.NewStaticCredentialsProvider("root-user", "root-password", "")}
	serveReferee(t, exec.Command(program, "server", "--quiet", "--address", address, "--console-address", "127.0.0.1:"+freePort(t),
		"--certs-dir", filepath.Join(dir, "certs"), filepath.Join(dir, "data")),
		"HOME="+dir, "MINIO_ROOT_USER=root-user", "MINIO_ROOT_PASSWORD=root-password", "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_DOMAIN=s3.us-east-1.amazonaws.com,s3.amazonaws.com,s3.dualstack.us-east-1.amazonaws.com",
		"MINIO_IDENTITY_OPENID_CONFIG_URL="+idp.URL+oidctest.DiscoveryPath, "MINIO_IDENTITY_OPENID_CLIENT_ID=sallyport")
	web := func(policy string) (stsCredentials, error) {
		claims := oidctest.With(idp.Claims("gateway", "sallyport", time.Now()), map[string]any{"policy": "readwrite"})
		form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "DurationSeconds": {"900"}, "WebIdentityToken": {idp.Token(claims)}}
		if policy != "" {
			form.Set("Policy", policy)
		}
		resp, err := http.PostForm("http://"+address+"/", form)
		if err != nil {
			return stsCredentials{}, err
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		var out struct {
			Credentials stsCredentials `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
		}
		if err := xml.Unmarshal(text, &out); err != nil || resp.StatusCode != http.StatusOK {
			return stsCredentials{}, fmt.Errorf("MinIO's STS: %d %s", resp.StatusCode, text)
		}
		return out.Credentials, nil
	}
	// Its health comes before its IAM: STS answers 503 in between.
	if !poll(60*time.Second, func() bool { _, err := web(""); return err == nil }) {
		t.Fatal("MinIO is not ready")
	}
	r.sts = func(form url.Values) (stsCredentials, error) {
		policy, err := policyForMinIO(form.Get("Policy"))
		if err != nil {
			return stsCredentials{}, err
		}
		return web(policy)
	}
	r.stand(t, address)
	return r
}

// policyForMinIO is a session policy less what MinIO refuses whole: the condition
// key aws:ResourceAccount (it has no accounts), KMS's actions and s3:PutObjectAcl, a
// condition on the action `*` (there is S3 alone), and statements with NotAction.
func policyForMinIO(text string) (string, error) {
	var doc struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return "", fmt.Errorf("the session policy %q: %w", text, err)
	}
	var kept []map[string]any
	for _, st := range doc.Statement {
		if st["NotAction"] != nil {
			continue
		}
		empty := false
		for _, member := range []string{"Action", "Resource", "NotResource"} {
			list, ok := st[member].([]any)
			if s, one := st[member].(string); one {
				list, ok = []any{s}, true
			}
			if !ok {
				continue
			}
			list = slices.DeleteFunc(list, func(v any) bool {
				s, _ := v.(string)
				return strings.HasPrefix(s, "kms:") || strings.HasPrefix(s, "arn:aws:kms:") || s == "s3:PutObjectAcl"
			})
			if member == "Action" && len(list) == 1 {
				switch list[0] {
				case "*":
					list[0] = "s3:*"
				case "s3:GetBucketCORS": // names of actions have no case, but for MinIO
					list[0] = "s3:GetBucketCors"
				}
			}
			st[member], empty = list, empty || len(list) == 0
		}
		if empty {
			continue
		}
		conditions, _ := st["Condition"].(map[string]any)
		for operator, v := range conditions {
			keys, _ := v.(map[string]any)
			if delete(keys, "aws:ResourceAccount"); len(keys) == 0 {
				delete(conditions, operator)
			}
		}
		kept = append(kept, st)
	}
	out, err := json.Marshal(map[string]any{"Version": doc.Version, "Statement": kept})
	return string(out), err
}

// startVersity is Versity's S3 gateway over a folder, a second implementation of
// the verification. It has no STS that can be asked on loopback, so every AssumeRole
// gets the same key with some session token, which versions up to 1.7 take, and
// session policies are not in force.
func startVersity(t *testing.T) *referee {
	t.Helper()
	const owner, password = "123456789012", "root-password" // the account in role: the gateway asks that it owns the bucket
	program := need(t, tool("SALLYPORT_VERSITYGW", "versitygw"), "versitygw", "go install github.com/versity/versitygw/cmd/versitygw at .ci/clients' version (about 3 minutes), then name it in SALLYPORT_VERSITYGW")
	dir, err := os.MkdirTemp(t.TempDir(), "data-")
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + freePort(t)
	r := &referee{name: "versitygw", region: "us-west-2", root: credentials.NewStaticCredentialsProvider(owner, password, "")}
	r.sts = func(url.Values) (stsCredentials, error) {
		return stsCredentials{owner, password, "a-session-token", time.Now().Add(15 * time.Minute).UTC().Format(time.RFC3339)}, nil
	}
	serveReferee(t, exec.Command(program, "--port", address, "--access", owner, "--secret", password, "--region", r.region,
		"--virtual-domain", "s3."+r.region+".amazonaws.com", "--health", "/health", "--quiet", "posix", dir))
	r.stand(t, address)
	return r
}

// serveReferee starts a server that ends with the test.
func serveReferee(t *testing.T, cmd *exec.Cmd, env ...string) {
	t.Helper()
	cmd.Env = append(cleanEnv(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), said.String())
		}
	})
}

// stand makes the bucket and puts the front before the server at address.
func (r *referee) stand(t *testing.T, address string) {
	t.Helper()
	r.t = t
	r.direct = s3.New(s3.Options{BaseEndpoint: aws.String("http://" + address), UsePathStyle: true, Region: r.region, Credentials: r.root})
	if !poll(30*time.Second, func() bool {
		_, err := r.direct.CreateBucket(t.Context(), bucketIn(r.region))
		var exists *types.BucketAlreadyOwnedByYou
		return err == nil || errors.As(err, &exists)
	}) {
		t.Fatalf("%s makes no bucket", r.name)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", address
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			p.Out.Host = p.In.Host // it is signed, and names the bucket
		},
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		ModifyResponse: func(resp *http.Response) error {
			r.note(resp)
			return nil
		},
	}
	r.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if strings.HasPrefix(in.Host, "sts.") {
			r.serveSTS(w, in)
			return
		}
		r.mu.Lock()
		instead := r.instead
		r.mu.Unlock()
		if instead != nil && instead(w, in) {
			return
		}
		proxy.ServeHTTP(w, in)
	}))
	t.Cleanup(r.front.Close)
}

func bucketIn(region string) *s3.CreateBucketInput {
	in := &s3.CreateBucketInput{Bucket: aws.String(matrixBucket)}
	if region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	return in
}

func (r *referee) note(resp *http.Response) {
	in := resp.Request
	s := seen{method: in.Method, query: in.URL.Query(), payload: in.Header.Get("X-Amz-Content-Sha256"), framing: "length", status: resp.StatusCode}
	if _, err := hex.DecodeString(s.payload); err == nil && len(s.payload) == 2*sha256.Size {
		s.payload = "sha256"
	}
	if in.ContentLength < 0 {
		s.framing = "chunked"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
}

// answer lets f answer requests in the server's place, until answer is called again.
func (r *referee) answer(f func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead = f
}

// took forgets and gives what was seen since the last time.
func (r *referee) took() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.seen
	r.seen = nil
	return out
}

// serveSTS answers AssumeRole as AWS does, with a credential of the referee's.
func (r *referee) serveSTS(w http.ResponseWriter, in *http.Request) {
	_ = in.ParseForm()
	c, err := r.sts(in.PostForm)
	if err != nil || in.PostForm.Get("Action") != "AssumeRole" {
		r.t.Logf("no credential: %v; asked for with %s", err, in.PostForm.Get("Policy"))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>%q %v</Message></Error></ErrorResponse>", in.PostForm.Get("Action"), err)
		return
	}
	role, session := in.PostForm.Get("RoleArn"), in.PostForm.Get("RoleSessionName")
	w.Header().Set("Content-Type", "text/xml")
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName     xml.Name       `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
		Credentials stsCredentials `xml:"AssumeRoleResult>Credentials"`
		Arn         string         `xml:"AssumeRoleResult>AssumedRoleUser>Arn"`
		ID          string         `xml:"AssumeRoleResult>AssumedRoleUser>AssumedRoleId"`
	}{Credentials: c, Arn: strings.Replace(strings.Replace(role, ":iam:", ":sts:", 1), ":role/", ":assumed-role/", 1) + "/" + session, ID: "AROAREFEREE:" + session})
}

// sum is the SHA-256 of an object as the referee has it; "" when it has none.
func (r *referee) sum(ctx context.Context, t *testing.T, key string) string {
	t.Helper()
	out, err := r.direct.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(matrixBucket), Key: aws.String(key)})
	var none *types.NoSuchKey
	if errors.As(err, &none) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, out.Body); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
