package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/bus"
)

// natsVariable makes this very program the NATS server: its folder and address.
const natsVariable = "SALLYPORT_FAULTS_NATS"

var binary string

func TestMain(m *testing.M) {
	if spec := os.Getenv(natsVariable); spec != "" {
		os.Exit(serveNATS(spec))
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sallyport-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "sallyport")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/sallyport").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func serveNATS(spec string) int {
	dir, listen, _ := strings.Cut(spec, "|")
	if _, err := bus.Start(context.Background(), bus.ServerOptions{Dir: dir, Listen: listen}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(`"msg":"ready"`)
	select {} // until it is killed
}

// fakeAWS counts what reaches it: how often each object was asked for.
type fakeAWS struct {
	sts   http.RoundTripper
	ln    net.Listener
	roots []byte

	mu   sync.Mutex
	seen map[string]int // by path
}

const answer = 3 << 10 // bytes of an object

func startAWS(t *testing.T) *fakeAWS {
	t.Helper()
	fake, err := awstest.Start(awstest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	o := ca.Options{Permitted: []string{"amazonaws.com"}}
	dir := filepath.Join(t.TempDir(), "aws-ca")
	if err := ca.Create(dir, o); err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	a := &fakeAWS{sts: fake.Transport(), roots: authority.RootPEM(), seen: map[string]int{}}
	if a.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() {
		_ = srv.Serve(tls.NewListener(a.ln, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return authority.Leaf(t.Context(), h.ServerName)
			}}))
	}()
	t.Cleanup(func() { _ = srv.Close() })
	return a
}

func (a *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Host, "sts.") {
		r.URL.Scheme, r.URL.Host, r.RequestURI = "https", r.Host, ""
		resp, err := a.sts.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = resp.Body.Close() }()
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	a.mu.Lock()
	a.seen[r.URL.Path]++
	a.mu.Unlock()
	w.Header().Set("X-Amz-Request-Id", "aws"+strings.ReplaceAll(r.URL.Path, "/", "-"))
	_, _ = w.Write(bytes.Repeat([]byte("x"), answer))
}

// role is one process that is killed and begun anew.
type role struct {
	t    *testing.T
	name string
	make func() *exec.Cmd

	mu   sync.Mutex
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when cmd is gone
}

// start begins the process and waits until it is ready.
func (r *role) start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, err := os.CreateTemp(r.t.TempDir(), r.name+"-")
	if err != nil {
		return err
	}
	cmd := r.make()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	r.cmd, r.log, r.done = cmd, out, done
	go func() { _ = cmd.Wait(); close(done) }()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if text, _ := os.ReadFile(out.Name()); bytes.Contains(text, []byte(`"msg":"ready"`)) {
				return nil
			}
		case <-done:
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("%s ended before it was ready:\n%s", r.name, text)
		case <-deadline:
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("%s is not ready:\n%s", r.name, text)
		}
	}
}

// end sends a signal and waits until the process is gone.
func (r *role) end(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(s)
	<-r.done
	_ = r.log.Close()
	r.cmd = nil
}

// rig is the three processes, each with a folder of its own.
type rig struct {
	t                       *testing.T
	dir                     string
	aws                     *fakeAWS
	nats, gateway, recorder *role
	proxy                   string
	whole                   sync.RWMutex // held while one of them is dead
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), aws: startAWS(t), proxy: "127.0.0.1:" + freePort(t)}
	natsDir, natsListen := filepath.Join(r.dir, "nats"), "127.0.0.1:"+freePort(t)
	write := func(name, text string) {
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("aws.crt", string(r.aws.roots))
	write("policy.yaml", `rules:
  - {name: read, who: {groups: [ai-agents]}, targets: [dev], actions: ["s3:GetObject"], resources: ["arn:aws:s3:::acme/*"], effect: allow}
  - {name: never, who: {groups: [ai-agents]}, targets: ["*"], actions: ["s3:GetObject"], resources: ["arn:aws:s3:::secret/*"], effect: deny}
`)
	for _, name := range []string{"gateway", "recorder"} {
		listen := "off"
		if name == "gateway" {
			listen = r.proxy
		}
		text := fmt.Sprintf(`state_dir: %q
proxy: {listen: %q}
aws: {endpoint: "https://%s", ca_file: %q}
identity: {local: true}
targets: {dev: {role_arn: %q, default: true}}
policy: {files: [%q]}
nats: {url: "nats://%s", creds_file: %q}
admin: {listen: ""}
`, filepath.Join(r.dir, name), listen, r.aws.ln.Addr(), filepath.Join(r.dir, "aws.crt"), awstest.RoleARN, filepath.Join(r.dir, "policy.yaml"), natsListen, filepath.Join(natsDir, name+".creds"))
		write(name+".yaml", strings.Replace(text, `listen: "off"`, `listen: "127.0.0.1:0"`, 1))
	}
	r.nats = &role{t: t, name: "nats", make: func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), natsVariable+"="+natsDir+"|"+natsListen)
		return cmd
	}}
	serve := func(name string) *role {
		return &role{t: t, name: name, make: func() *exec.Cmd {
			cmd := exec.Command(binary, "serve", "--roles", name, "--config", filepath.Join(r.dir, name+".yaml"))
			cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+awstest.BaseKeyID, "AWS_SECRET_ACCESS_KEY="+awstest.BaseSecret, "AWS_REGION=us-east-1")
			return cmd
		}}
	}
	r.gateway, r.recorder = serve("gateway"), serve("recorder")
	for _, p := range []*role{r.nats, r.gateway, r.recorder} {
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.end(syscall.SIGKILL) })
	}
	return r
}

// agent is a client with a token of its own.
func (r *rig) agent() *http.Client {
	r.t.Helper()
	state := filepath.Join(r.dir, "gateway")
	trial, err := identity.OpenTrial(state)
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := trial.Token("agent", []string{"ai-agents"}, identity.TrialAudience, time.Hour, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(state, "ca", "root.crt"))
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	proxy := &url.URL{Scheme: "http", Host: r.proxy, User: url.UserPassword("faults", token.Reveal())}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 16,
	}}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
