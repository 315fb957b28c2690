package awstest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// The two accounts, and the gateway's own access key.
const (
	Account        = "111122223333"
	ForeignAccount = "999988887777"
	Region         = "us-east-1"
	BaseKeyID      = "AKIASIMULATEDGATEWAY"
	BaseSecret     = "simulated/gateway/secret/key/0000000000"
	RoleARN        = "arn:aws:iam::" + Account + ":role/agent-dev"
)

// Config of a Server. The zero value is TLS on a free loopback port, by the wall
// clock, with the seed data of Seed.
type Config struct {
	Listen     string           // "" means 127.0.0.1:0
	PlainHTTP  bool             // no TLS
	ExternalID string           // what AssumeRole must bring; "" wants none
	OIDC       *OIDCProvider    // trusted by AssumeRoleWithWebIdentity; nil trusts none
	Now        func() time.Time // nil means time.Now
	BodyCap    int              // bytes kept of each body; 0 means 1 MiB
}

// Faults are ways to fail. The zero value works.
type Faults struct {
	STSDown          bool            // STS breaks every connection
	STSThrottle      int             // AssumeRole answers Throttling this many times
	STSUnavailable   bool            // STS answers 503
	STSDenied        bool            // AssumeRole answers AccessDenied
	STSGate          chan struct{}   // AssumeRole waits until it is closed or the client goes away
	StaleExpiration  bool            // credentials that expired an hour ago
	WrongAccount     bool            // credentials of a role in the foreign account
	EmptyCredentials bool            // an answer without secret key and session token
	OneByteWrites    bool            // answers one byte at a time
	Truncate         bool            // answers break off in the middle
	Before           func(*Received) // called with each request before it is handled
}

// Server is a simulated AWS.
type Server struct {
	config   Config
	ca       *authority
	listener net.Listener
	http     *http.Server
	done     chan struct{}

	mu       sync.Mutex
	faults   Faults
	keys     map[string]*Key
	requests []Received
	counter  int
	data     *data
}

type connKey struct{}

// Start listens and serves until Close.
func Start(c Config) (*Server, error) {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.BodyCap == 0 {
		c.BodyCap = 1 << 20
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("awstest: %w", err)
	}
	s := &Server{config: c, ca: ca, listener: inner, done: make(chan struct{}), data: seed(c.Now()), keys: map[string]*Key{
		BaseKeyID: {ID: BaseKeyID, Secret: BaseSecret, Account: Account, ARN: "arn:aws:iam::" + Account + ":user/gateway", stsOnly: true},
	}}
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, connKey{}, nc) },
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(&recording{Listener: inner, server: s})
	}()
	return s, nil
}

// recording wraps what it accepts, so that plain bytes are seen above TLS.
type recording struct {
	net.Listener
	server *Server
}

func (l *recording) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.server.config.PlainHTTP {
		nc = tls.Server(nc, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: l.server.ca.leaf})
	}
	return &conn{Conn: nc, limit: l.server.config.BodyCap + 64<<10}, nil
}

// Close stops the server and waits for it.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is what aws.endpoint is set to.
func (s *Server) URL() string {
	if s.config.PlainHTTP {
		return "http://" + s.Addr()
	}
	return "https://" + s.Addr()
}

// RootPEM is the certificate of the server's CA.
func (s *Server) RootPEM() []byte { return s.ca.pem() }

// Roots is a pool with the server's CA alone.
func (s *Server) Roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.ca.root)
	return p
}

// Transport reaches the server under any host name. Host header and SNI stay the
// AWS name; requests for https go over plain HTTP where the server has no TLS.
func (s *Server) Transport() http.RoundTripper {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
		},
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.Roots()}, DisableCompression: true,
	}
	if !s.config.PlainHTTP {
		return t
	}
	return plain{t}
}

type plain struct{ *http.Transport }

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	u := *r.URL
	u.Scheme = "http"
	r = r.WithContext(r.Context())
	r.URL = &u
	return p.Transport.RoundTrip(r)
}

// AddKey makes a key known.
func (s *Server) AddKey(k Key) error {
	if k.Policy != "" {
		p, err := ParsePolicy(k.Policy)
		if err != nil {
			return err
		}
		k.policy = p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.ID] = &k
	return nil
}

// Key returns what the server knows of a key: tests look at the Policy.
func (s *Server) Key(id string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[id]
	if !ok {
		return Key{}, false
	}
	return *k, true
}

// SetFaults replaces the faults.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Requests are all requests so far, in the order in which they were finished.
func (s *Server) Requests() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Forget drops the requests received so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (s *Server) now() time.Time { return s.config.Now() }

// Error is an error in AWS's words.
type Error struct {
	Status        int
	Code, Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func fault(status int, code, message string) *Error {
	return &Error{Status: status, Code: code, Message: message}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nc, _ := r.Context().Value(connKey{}).(*conn)
	if nc == nil {
		http.Error(w, "not one of our connections", http.StatusInternalServerError)
		return
	}
	head := nc.head()
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	nc.next()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	rec := &Received{Method: r.Method, Host: r.Host, Target: r.RequestURI, Header: parseHead(head), Head: head,
		Body: bytes.Clone(body[:min(len(body), s.config.BodyCap)]), BodyLength: int64(len(body)), BodySHA256: hexSHA256(body)}
	s.mu.Lock()
	f := s.faults
	s.mu.Unlock()
	if f.Before != nil {
		f.Before(rec)
	}
	x := &exchange{Server: s, rec: rec, body: body, faults: f, ctx: r.Context(), header: http.Header{}}
	aborted := x.serve()
	s.mu.Lock()
	rec.Status = x.status
	s.requests = append(s.requests, *rec)
	s.counter++
	id := fmt.Sprintf("SIM%013d", s.counter)
	s.mu.Unlock()
	if aborted {
		panic(http.ErrAbortHandler)
	}
	x.write(w, id)
}

// exchange is one request that is being answered.
type exchange struct {
	*Server
	ctx     context.Context
	rec     *Received
	body    []byte
	faults  Faults
	key     *Key
	service string
	path    string // raw
	query   url.Values

	status int
	header http.Header
	out    []byte
}

// serve answers; true means the connection is to be broken instead.
func (x *exchange) serve() bool {
	if x.webIdentity() {
		err := x.sts()
		if errors.Is(err, http.ErrAbortHandler) {
			return true
		}
		if err != nil {
			x.fail(err)
		}
		return false
	}
	if x.isForm() {
		if err := x.postObject(); err != nil {
			x.fail(err)
		}
		return false
	}
	key, sc, err := x.verify(x.rec, x.body)
	x.service = sc.service
	if err == nil {
		x.key, x.rec.KeyID = key, key.ID
		var query string
		x.path, query, _ = strings.Cut(x.rec.Target, "?")
		if x.query, err = url.ParseQuery(query); err != nil {
			err = fault(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
		} else {
			err = x.dispatch()
		}
	}
	if errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	if err != nil {
		x.fail(err)
	}
	return false
}

func (x *exchange) dispatch() error {
	label, _, _ := strings.Cut(x.rec.Host, ".")
	if x.service != "s3" && label != x.service {
		return fault(http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to the service of this host: "+x.rec.Host)
	}
	if x.key.stsOnly && x.service != "sts" {
		return fault(http.StatusForbidden, "AccessDenied", "User: "+x.key.ARN+" may only call STS")
	}
	if arn, action, ok := x.readsTags(); ok {
		return x.answerTags(arn, action)
	}
	switch x.service {
	case "sts":
		return x.sts()
	case "s3":
		return x.s3()
	case "dynamodb":
		return x.dynamodb()
	case "secretsmanager":
		return x.secrets()
	case "ec2":
		return x.ec2()
	}
	return fault(http.StatusBadRequest, "UnknownOperationException", "the simulated AWS has no "+x.service)
}

// allow checks the session policy for one action. owner is the account the
// resource belongs to.
func (x *exchange) allow(action, resource, owner string) error {
	x.rec.Action, x.rec.Resource = action, resource
	if x.key.policy == nil || x.key.policy.Allows(Question{Action: action, Resource: resource, Account: owner, Now: x.now()}) {
		return x.expectedOwner(action, owner)
	}
	code := "AccessDeniedException"
	switch x.service {
	case "ec2":
		code = "UnauthorizedOperation"
	case "s3", "sts":
		code = "AccessDenied"
	}
	return fault(http.StatusForbidden, code, "User: "+x.key.ARN+" is not authorized to perform: "+action+" on resource: "+resource+" because no session policy allows the "+action+" action")
}

func (x *exchange) write(w http.ResponseWriter, id string) {
	for name, v := range x.header {
		w.Header()[name] = v
	}
	w.Header().Set("X-Amzn-Requestid", id)
	if x.service == "s3" {
		w.Header().Set("X-Amz-Request-Id", id)
	}
	head := x.rec.Method == http.MethodHead
	if !head || w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", fmt.Sprint(len(x.out)))
	}
	w.WriteHeader(x.status)
	if head {
		return
	}
	out := x.out
	if x.faults.Truncate && len(out) > 0 {
		_, _ = w.Write(out[:len(out)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if !x.faults.OneByteWrites {
		_, _ = w.Write(out)
		return
	}
	for i := range out {
		_, _ = w.Write(out[i : i+1])
		_ = http.NewResponseController(w).Flush()
	}
}
