package jit

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
)

// minio is a MinIO server: an implementation of S3, STS and IAM policies that is
// not ours. It takes the names of AWS's endpoints for its own.
type minio struct {
	address string
	idp     *oidctest.Issuer
	client  *http.Client
	id      *awsapi.Identifier
}

func startMinIO(t *testing.T) *minio {
	t.Helper()
	binary := os.Getenv("SALLYPORT_MINIO")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("minio"); err != nil {
			t.Skip("no MinIO to ask: go install github.com/minio/minio@latest (about 5 minutes), then put it into PATH or SALLYPORT_MINIO")
		}
	}
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
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &minio{address: free.Addr().String(), idp: idp}
	_ = free.Close()
	m.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", m.address)
	}}}
	if m.id, err = awsapi.New(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "server", "--quiet", "--address", m.address, "--console-address", "127.0.0.1:0", "--certs-dir", filepath.Join(dir, "certs"), filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "HOME="+dir, "MINIO_ROOT_USER=root-user", "MINIO_ROOT_PASSWORD=root-password", "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_IDENTITY_OPENID_CONFIG_URL="+idp.URL+oidctest.DiscoveryPath, "MINIO_IDENTITY_OPENID_CLIENT_ID=sallyport")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	m.until(t, "MinIO is not ready", func() bool {
		// Its health comes before its IAM: STS answers 503 in between.
		resp, err := m.client.PostForm("http://"+m.address+"/", url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "WebIdentityToken": {"none"}})
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode < http.StatusInternalServerError
	})
	return m
}

// until polls for at most 30 s: another process's state has no clock of ours.
func (m *minio) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// assume gets a credential by AssumeRoleWithWebIdentity; "" is without a policy.
func (m *minio) assume(t *testing.T, policy string) *Credential {
	t.Helper()
	claims := oidctest.With(m.idp.Claims("agent-1", "sallyport", time.Now()), map[string]any{"policy": "readwrite"})
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "DurationSeconds": {"900"}, "WebIdentityToken": {m.idp.Token(claims)}}
	if policy != "" {
		form.Set("Policy", policy)
	}
	resp, err := m.client.PostForm("http://"+m.address+"/", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var out struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string } `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if err := xml.Unmarshal(text, &out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("MinIO's STS: %d %s", resp.StatusCode, text)
	}
	c := out.Credentials
	return &Credential{accessKeyID: c.AccessKeyId, secretKey: secret.New(c.SecretAccessKey), sessionToken: secret.New(c.SessionToken)}
}

func (m *minio) call(t *testing.T, method, target string, body string) *awsapi.Call {
	t.Helper()
	head, err := m.id.Head(awsapi.Request{Method: method, Host: "s3.us-east-1.amazonaws.com", Target: target, Header: http.Header{}, ContentLength: int64(len(body)), Account: awstest.Account})
	if err != nil {
		t.Fatal(err)
	}
	call, err := head.Call([]byte(body))
	if err != nil {
		if call, err = head.Call(nil); err != nil {
			t.Fatal(err)
		}
	}
	return call
}

// send is one request as the gateway sends it, and S3's answer.
func (m *minio) send(t *testing.T, cred *Credential, method, target, body string) (int, string) {
	t.Helper()
	req, err := Sign(t.Context(), m.call(t, method, target, body).Canonical(), strings.NewReader(body), cred, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Scheme = "http" // MinIO listens in the clear; the scheme is not signed
	resp, err := m.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// forMinIO is a session policy less what MinIO does not know and refuses whole:
// the condition key aws:ResourceAccount (it has no accounts), KMS's actions, and a
// condition on the action `*` (there is S3 alone). A statement with NotAction makes
// its STS fail ("empty actions not allowed"), so that Deny is left to iameval.
func forMinIO(t *testing.T, text string) string {
	t.Helper()
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	kms := func(s string) bool { return strings.HasPrefix(s, "kms:") || strings.HasPrefix(s, "arn:aws:kms:") }
	var kept []statement
	for _, st := range doc.Statement {
		for _, list := range []*[]string{&st.Action, &st.Resource, &st.NotResource} {
			*list = slices.DeleteFunc(*list, kms)
		}
		if slices.Equal(st.Action, []string{"*"}) {
			st.Action = []string{"s3:*"}
		}
		if len(st.Action) == 0 || len(st.Resource)+len(st.NotResource) == 0 {
			continue
		}
		for operator, keys := range st.Condition {
			if delete(keys, "aws:ResourceAccount"); len(keys) == 0 {
				delete(st.Condition, operator)
			}
		}
		kept = append(kept, st)
	}
	out, err := encode(kept)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// MinIO, which is not ours and evaluates inline session policies, agrees with
// iameval about S3: the call is allowed, its neighbours are not, and nothing is
// after the deadline. Its ListBuckets and ListObjectVersions are content with
// s3:ListBucket, so these two are not asked.
func TestMinIOAgrees(t *testing.T) {
	m := startMinIO(t)
	all := m.assume(t, "")
	for _, bucket := range []string{"/acme", "/acme2"} {
		for _, target := range []string{bucket, bucket + "/2026/q3.csv", bucket + "/2026/q3.csv2", bucket + "/gone"} {
			if status, text := m.send(t, all, http.MethodPut, target, ""); status != http.StatusOK {
				t.Fatalf("PUT %s: %d %s", target, status, text)
			}
		}
	}
	target := testTarget
	mint := func(t *testing.T, scope Scope, ttl time.Duration, method, path string) *Credential {
		t.Helper()
		target.TTL = ttl
		made, err := SessionPolicy(m.call(t, method, path, ""), target, scope, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return m.assume(t, forMinIO(t, made.Text))
	}
	type ask struct{ method, target string }
	get, put, del, list := http.MethodGet, http.MethodPut, http.MethodDelete, "/acme?list-type=2&prefix=2026%2F"
	const key = "/acme/2026/q3.csv"
	tests := []struct {
		name            string
		call            ask
		scope           Scope
		allowed, denied []ask
	}{
		{"get", ask{get, key}, ScopeRequest, nil, []ask{{get, key + "2"}, {get, "/acme/2026/q3"}, {get, "/acme2/2026/q3.csv"}, {put, key}, {del, key}, {get, list}, {get, "/"}, {get, "/acme?policy"}}},
		{"put", ask{put, key}, ScopeRequest, nil, []ask{{put, key + "2"}, {put, "/acme2/2026/q3.csv"}, {get, key}, {del, key}, {put, "/acme3"}}},
		{"delete", ask{del, "/acme/gone"}, ScopeRequest, nil, []ask{{del, key}, {get, key}, {del, "/acme2/gone"}, {del, "/acme"}}},
		{"list", ask{get, list}, ScopeRequest, nil, []ask{{get, key}, {get, "/acme2?list-type=2"}, {put, key}, {get, "/acme?policy"}}},
		{"get of any object", ask{get, key}, ScopeAction, []ask{{get, key + "2"}, {get, "/acme2/2026/q3.csv"}}, []ask{{put, key}, {del, key}, {get, list}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cred := mint(t, tt.scope, time.Minute, tt.call.method, tt.call.target)
			for _, a := range tt.denied {
				if status, text := m.send(t, cred, a.method, a.target, ""); status != http.StatusForbidden || !strings.Contains(text, "<Code>AccessDenied</Code>") {
					t.Errorf("%s %s: %d %.200s", a.method, a.target, status, text)
				}
			}
			for _, a := range append([]ask{tt.call}, tt.allowed...) {
				if status, text := m.send(t, cred, a.method, a.target, ""); status/100 != 2 {
					t.Errorf("%s %s: %d %.200s", a.method, a.target, status, text)
				}
			}
		})
	}
	t.Run("names with wildcards", func(t *testing.T) {
		// MinIO does not know ${*}, and so denies the key itself; what counts is that
		// nothing else is allowed.
		for _, path := range []string{"/acme/2026/q*.csv", "/acme/2026/q%3F.csv", "/acme/%24%7Baws:username%7D/*", "/acme/*"} {
			cred := mint(t, ScopeRequest, time.Minute, get, path)
			if status, _ := m.send(t, cred, get, key, ""); status != http.StatusForbidden {
				t.Errorf("the policy of %s reads %s: %d", path, key, status)
			}
		}
	})
	t.Run("after the deadline", func(t *testing.T) {
		// Real time: MinIO's clock cannot be moved. Without our Denies, so that
		// DateLessThan alone decides.
		target.TTL = 3 * time.Second
		w, err := newWriter(m.call(t, get, key, ""), target, ScopeRequest, []string{awstest.Account}, time.Now().Add(target.TTL))
		if err != nil {
			t.Fatal(err)
		}
		text, err := encode(w.statements(WithoutDeny))
		if err != nil {
			t.Fatal(err)
		}
		cred := m.assume(t, forMinIO(t, text))
		if status, text := m.send(t, cred, get, key, ""); status != http.StatusOK {
			t.Fatalf("before: %d %s", status, text)
		}
		m.until(t, "the deadline has no effect", func() bool {
			status, text := m.send(t, cred, get, key, "")
			return status == http.StatusForbidden && strings.Contains(text, "<Code>AccessDenied</Code>")
		})
	})
}

// MinIO verifies the signature of each chunk, and of the trailer.
func TestMinIOTakesChunks(t *testing.T) {
	m := startMinIO(t)
	cred := m.assume(t, "")
	if status, text := m.send(t, cred, http.MethodPut, "/acme", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	put := func(form awschunked.Form, data string, cred *Credential, seed string) (int, string) {
		t.Helper()
		msg, body := clientChunks(form, data, 10_000)
		msg.header.Set("X-Amz-Content-Sha256", form.String())
		head, err := m.id.Head(awsapi.Request{Method: http.MethodPut, Host: "s3.us-east-1.amazonaws.com", Target: "/acme/chunks", Header: msg.header, ContentLength: msg.length, Account: awstest.Account})
		if err != nil {
			t.Fatal(err)
		}
		call, err := head.Call(nil)
		if err != nil {
			t.Fatal(err)
		}
		req, err := Sign(t.Context(), call.Canonical(), strings.NewReader(body), cred, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Scheme = "http"
		if seed != "" {
			sent, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			req.Body = io.NopCloser(strings.NewReader(strings.Replace(string(sent), "chunk-signature="+string(sent[strings.IndexByte(string(sent), '=')+1]), "chunk-signature="+seed, 1)))
		}
		resp, err := m.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	for _, form := range chunkForms {
		for _, n := range []int{0, 5, chunkSize, 200_000} {
			data := strings.Repeat("d", n)
			if status, text := put(form, data, cred, ""); status != http.StatusOK {
				t.Errorf("%s, %d bytes: %d %s", form, n, status, text)
			}
			if status, text := m.send(t, cred, http.MethodGet, "/acme/chunks", ""); status != http.StatusOK || text != data {
				t.Errorf("%s, %d bytes: %d, %d bytes came back", form, n, status, len(text))
			}
		}
		if form == awschunked.UnsignedTrailer {
			continue
		}
		refused := 0
		for _, digit := range []string{"0", "1"} { // one of them is another digit than is there
			if status, _ := put(form, "hello", cred, digit); status == http.StatusForbidden {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s: MinIO does not look at the chunks' signatures", form)
		}
	}
}
