package launch

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nodeScript makes requests as the AWS SDK for JavaScript does: with an
// https.Agent of its own, and once through the ESM import.
const nodeScript = `
import { Agent, request } from 'node:https';
const get = (url, agent) => new Promise((resolve) => {
  const req = request(url, { agent, method: 'POST' }, (res) => {
    let body = ''; res.on('data', (d) => body += d); res.on('end', () => resolve(res.statusCode + ' ' + body));
  });
  req.on('error', (e) => resolve('error ' + e.message));
  req.end('x'.repeat(100000));
});
const own = new Agent({ keepAlive: true, maxSockets: 50 });
console.log(await get('https://example.com/own', own));
console.log(await get('https://example.com/kept', own));
console.log(await get('https://example.com/global'));
console.log(await get(process.env.DIRECT + '/direct', own));
own.destroy();
`

func TestNodeHook(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("SALLYPORT_REQUIRE_CLIENTS") != "" {
			t.Fatal("node is missing")
		}
		t.Skip("node is not installed")
	}
	aws := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%s %d", r.Host, r.URL.Path, len(b))
	}))
	defer aws.Close()
	g := newFakeGateway(t, false, aws.Listener.Addr().String())
	proxy := startHelper(t, &Helper{Gateway: gatewayFor(t, g), Tokens: &counting{}, Label: "node"})

	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: aws.Certificate().Raw})
	files, err := WriteFiles(filepath.Join(t.TempDir(), "with space"), root, root)
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "client.mjs")
	if err := os.WriteFile(script, []byte(nodeScript), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() string {
		parent := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DIRECT=" + aws.URL}
		cmd := exec.Command(node, script)
		cmd.Env = Apply(parent, Environment(Options{ProxyURL: proxy, Files: files}, parent))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("node: %v\n%s", err, out)
		}
		return string(out)
	}

	direct := strings.TrimPrefix(aws.URL, "https://")
	want := "200 example.com/own 100000\n200 example.com/kept 100000\n200 example.com/global 100000\n200 " + direct + "/direct 100000\n"
	if got := run(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if n := len(g.seen()); n != 2 {
		t.Errorf("%d CONNECTs, want 2: one kept for the own agent, one for the global", n)
	}
	g.mu.Lock()
	g.status = 403
	g.mu.Unlock()
	if got := run(); strings.Count(got, "error sallyport: the proxy refused example.com:443: 403") != 3 {
		t.Errorf("refused: %s", got)
	}
}
