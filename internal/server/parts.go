package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/policy"
)

// OpenCA opens the CA under state_dir, or makes it when there is none.
func OpenCA(c *config.Config) (*ca.Authority, error) {
	if err := secureStateDir(c.StateDir); err != nil {
		return nil, err
	}
	ids, err := NewIdentifier(c)
	if err != nil {
		return nil, err
	}
	return openCA(c, ids)
}

// NewIdentifier knows AWS's endpoints and those of aws.endpoints.
func NewIdentifier(c *config.Config) (*awsapi.Identifier, error) {
	endpoints := make([]awsapi.CustomEndpoint, len(c.AWS.Endpoints))
	for i, e := range c.AWS.Endpoints {
		endpoints[i] = awsapi.CustomEndpoint(e)
	}
	return awsapi.New(endpoints...)
}

func openCA(c *config.Config, ids *awsapi.Identifier) (*ca.Authority, error) {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // the listener's certificate does without it
	}
	return openCAOn(strings.ToLower(hostname), c, ids)
}

// openCAOn is openCA on a machine of some name, which is one of those that the
// certificate of proxy.tls_listen has. The root is constrained to the name it was
// made under; machines are renamed and containers get a new name each time, which
// is no reason to stop: then the certificate does without it.
func openCAOn(hostname string, c *config.Config, ids *awsapi.Identifier) (*ca.Authority, error) {
	dir := filepath.Join(c.StateDir, "ca")
	o := ca.Options{Permitted: ids.DNSSuffixes(), Names: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	if l := c.Proxy.TLSListen; !l.IsZero() {
		if ip, ok := l.IP(); !ok {
			o.Names = append(o.Names, l.Host)
		} else if !ip.IsUnspecified() { // nobody connects to 0.0.0.0
			o.IPs = append(o.IPs, ip.AsSlice())
		}
	}
	slices.Sort(o.Names)
	here := o
	if hostname != "" && !slices.Contains(o.Names, hostname) {
		here.Names = slices.Sorted(slices.Values(append(slices.Clone(o.Names), hostname)))
	}
	if _, err := os.Lstat(filepath.Join(dir, "root.crt")); errors.Is(err, fs.ErrNotExist) {
		if err := ca.Create(dir, here); err != nil {
			return nil, err
		}
	}
	if a, err := ca.Open(dir, here); err == nil {
		return a, nil
	}
	return ca.Open(dir, o)
}

// Bundle is the system's roots and the authority's own, as PEM.
func Bundle(a *ca.Authority) ([]byte, error) { return ca.BundleOf(a.RootPEM()) }

// LoadPolicy reads the rules and checks that the targets they name exist.
func LoadPolicy(c *config.Config) (*policy.Engine, error) {
	e, err := policy.LoadUntested(c.Policy.Files)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(c.Targets))
	for name := range c.Targets {
		names = append(names, name)
	}
	// A misspelt target fails tests too, but says more.
	if err := e.CheckTargets(names); err != nil {
		return nil, err
	}
	return e, e.CheckTests()
}

// warnUnknown logs what in the rules matches nothing.
func warnUnknown(ctx context.Context, e *policy.Engine, ids *awsapi.Identifier, log *slog.Logger) {
	unknown, err := e.Unknown(ids)
	if err != nil {
		log.WarnContext(ctx, "whether the rules name what AWS does not have is not known", "cause", err.Error())
	}
	for _, w := range unknown {
		log.WarnContext(ctx, "a rule names what AWS does not have", "warning", w.String())
	}
}

// GatewayURL is where an agent on this machine reaches the gateway.
func GatewayURL(c *config.Config) (string, error) {
	if l := c.Proxy.Listen; !l.IsZero() {
		return "http://" + local(l.String()), nil
	}
	if l := c.Proxy.TLSListen; !l.IsZero() {
		return "https://" + local(l.String()), nil
	}
	return "", errors.New("proxy.listen and proxy.tls_listen are both off")
}

// AdminURL is where the operators' endpoint of this machine is.
func AdminURL(c *config.Config) (string, error) {
	l := c.Admin.Listen
	if l.IsZero() || l.Port == 0 {
		return "", errors.New("admin.listen is off, or any free port: give it a port to ask there")
	}
	return "http://" + local(l.String()), nil
}

// local replaces the address that means "all of this machine's" by loopback.
func local(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return hostPort
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Fingerprint is the SHA-256 of a certificate, as other tools print it.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// ShortFingerprint names a root in a path: the first 8 bytes of the SHA-256 of
// its certificate.
func ShortFingerprint(root []byte) string {
	if block, _ := pem.Decode(root); block != nil {
		root = block.Bytes
	}
	sum := sha256.Sum256(root)
	return hex.EncodeToString(sum[:8])
}
