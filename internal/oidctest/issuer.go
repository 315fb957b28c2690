// Package oidctest is a real OpenID Connect issuer on loopback, over TLS with a
// root of its own: discovery, key set, a token endpoint for client credentials,
// and tokens of any kind, the defective ones included. It counts what it is
// asked, turns its keys, goes away and comes back. For tests and demonstrations.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is one signing key.
type Key struct {
	ID      string
	Alg     string
	Private crypto.Signer
}

// Issuer is a running issuer. URL is its name and address; it has no trailing
// slash and stays the same through Stop and Start.
type Issuer struct {
	URL          string
	ClientID     string           // of the token endpoint
	ClientSecret string           // of the token endpoint
	Now          func() time.Time // for tokens of the token endpoint; nil: time.Now
	// Person gives the claims of whoever logs in on a device, for a client, once they were
	// waited for a second; nil claims refuse. Person nil is nobody, ever.
	Person func(client string) map[string]any

	cert  tls.Certificate
	root  []byte
	addr  string
	turns int

	mu       sync.Mutex
	server   *httptest.Server
	keys     map[string]Key // published, by algorithm
	old      []Key          // still published after RotateKeeping
	requests []string
	asked    int // how often a device asked
	status   map[string]int
	override map[string]any // members of the discovery document
}

// New starts an issuer on 127.0.0.1 with an RS256, an ES256 and an EdDSA key.
func New() (*Issuer, error) {
	i := &Issuer{ClientID: "agent", ClientSecret: "the-client-secret", status: map[string]int{}, override: map[string]any{}}
	if err := i.makeCertificate(); err != nil {
		return nil, fmt.Errorf("make the issuer's certificate: %w", err)
	}
	if err := i.Rotate(); err != nil {
		return nil, err
	}
	i.addr = "127.0.0.1:0"
	if err := i.Start(); err != nil {
		return nil, err
	}
	i.URL = "https://" + i.addr
	return i, nil
}

// RootPEM is the root that clients of the issuer must trust.
func (i *Issuer) RootPEM() []byte { return i.root }

// Start listens again, on the same address, after Stop.
func (i *Issuer) Start() error {
	l, err := net.Listen("tcp", i.addr)
	if err != nil {
		return fmt.Errorf("listen for the issuer: %w", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	s.Listener.Close()
	s.Listener = l
	s.TLS = &tls.Config{Certificates: []tls.Certificate{i.cert}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.addr = l.Addr().String()
	i.server = s
	return nil
}

// Stop goes away: connections are refused until Start.
func (i *Issuer) Stop() {
	i.mu.Lock()
	s := i.server
	i.server = nil
	i.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

// Close is Stop for good.
func (i *Issuer) Close() { i.Stop() }

// Rotate publishes new keys instead of the old ones.
func (i *Issuer) Rotate() error {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make an RSA key: %w", err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make an EC key: %w", err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make an Ed25519 key: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.turns++
	i.old = nil
	i.keys = map[string]Key{}
	for alg, key := range map[string]crypto.Signer{"RS256": r, "ES256": e, "EdDSA": d} {
		i.keys[alg] = Key{ID: fmt.Sprintf("%s-%d", alg, i.turns), Alg: alg, Private: key}
	}
	return nil
}

// RotateKeeping publishes new keys beside the old ones.
func (i *Issuer) RotateKeeping() error {
	i.mu.Lock()
	var before []Key
	for _, k := range i.keys {
		before = append(before, k)
	}
	i.mu.Unlock()
	err := i.Rotate()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.old = before
	return err
}

// Key gives the current key for RS256, ES256 or EdDSA.
func (i *Issuer) Key(alg string) Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[alg]
}

// Requests lists what was asked so far, as full URLs by the Host header.
func (i *Issuer) Requests() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.requests...)
}

// Count is how often path was asked.
func (i *Issuer) Count(path string) int {
	n := 0
	for _, r := range i.Requests() {
		if r == i.URL+path {
			n++
		}
	}
	return n
}

// Fail makes path answer status; 0 makes it work again. A status of 3xx redirects
// to another host name, where the same is served.
func (i *Issuer) Fail(path string, status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status[path] = status
}

// SetDiscovery replaces a member of the discovery document; nil removes it.
func (i *Issuer) SetDiscovery(member string, value any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.override[member] = value
}

// The paths that the issuer serves.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/keys"
	TokenPath     = "/token"
	DevicePath    = "/device"

	movedPath = "/moved" // below it the same again, as the aim of redirects
)

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests = append(i.requests, "https://"+r.Host+r.URL.Path)
	status := i.status[r.URL.Path]
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if status >= 300 && status < 400 {
		_, port, _ := net.SplitHostPort(r.Host)
		w.Header().Set("Location", "https://localhost:"+port+movedPath+r.URL.Path)
	}
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	switch strings.TrimPrefix(r.URL.Path, movedPath) {
	case DiscoveryPath:
		_ = json.NewEncoder(w).Encode(i.discovery())
	case KeysPath:
		_ = json.NewEncoder(w).Encode(i.keySet())
	case TokenPath:
		if r.PostFormValue("grant_type") == deviceGrant {
			i.serveLogin(w, r)
			return
		}
		i.serveToken(w, r)
	case DevicePath:
		i.serveDevice(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (i *Issuer) discovery() map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	doc := map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + KeysPath, "token_endpoint": i.URL + TokenPath, "device_authorization_endpoint": i.URL + DevicePath,
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA", "HS256", "none"},
	}
	for k, v := range i.override {
		if doc[k] = v; v == nil {
			delete(doc, k)
		}
	}
	return doc
}

func (i *Issuer) keySet() jose.JSONWebKeySet {
	i.mu.Lock()
	defer i.mu.Unlock()
	var set jose.JSONWebKeySet
	add := func(k Key) {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
	}
	for _, k := range i.keys {
		add(k)
	}
	for _, k := range i.old {
		add(k)
	}
	return set
}

// serveToken is the client credentials grant (RFC 6749 4.4).
func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	id, password, ok := r.BasicAuth()
	if !ok {
		id, password = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"unsupported_grant_type"}`)
	case id != i.ClientID || password != i.ClientSecret:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
	default:
		now := time.Now
		if i.Now != nil {
			now = i.Now
		}
		token := i.Token(i.Claims("client:"+id, r.PostFormValue("audience"), now()))
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 600})
	}
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// serveDevice begins a login on a device (RFC 8628).
func (i *Issuer) serveDevice(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.PostFormValue("client_id") == "" || !strings.Contains(r.PostFormValue("scope"), "openid") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"device_code": "device-" + r.PostFormValue("client_id"), "user_code": "WDJB-MJHT", "verification_uri": i.URL + "/activate", "expires_in": 30, "interval": 1})
}

// serveLogin tells the device whether somebody has logged in: the first time nobody has.
func (i *Issuer) serveLogin(w http.ResponseWriter, r *http.Request) {
	client := r.PostFormValue("client_id")
	i.mu.Lock()
	i.asked++
	pending := i.asked == 1 || i.Person == nil
	i.mu.Unlock()
	code := "authorization_pending"
	if !pending && r.PostFormValue("device_code") == "device-"+client {
		if claims := i.Person(client); claims != nil {
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 600, "id_token": i.Token(claims)})
			return
		}
		code = "access_denied"
	}
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": code, "error_description": "secret words of the provider"})
}

func (i *Issuer) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "oidctest"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	i.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	i.root = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return nil
}
