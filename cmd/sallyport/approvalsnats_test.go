package main

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// An approver elsewhere, without a configuration, reaches a NATS server with a private CA.
func TestApproversRoots(t *testing.T) {
	newUser(t)
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		TLSConfig: &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(ns.Shutdown)
	if !ns.ReadyForConnections(20 * time.Second) {
		t.Fatal("it does not start")
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "ann.creds", "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\n"+string(seed)+"\n------END USER NKEY SEED------\n")
	write(t, "roots.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	list := []string{"approvals", "list", "--creds", "ann.creds"}
	at := append(list, "--nats", strings.Replace(ns.ClientURL(), "nats://", "tls://", 1))
	if r := do(t, at...); r.code != exitFailed || !strings.Contains(r.stderr, "certificate") {
		t.Errorf("without its roots: %+v", r)
	}
	// It has no streams, so that there is nothing to list.
	if r := do(t, append(at, "--nats-ca-file", "roots.pem")...); r.code != exitFailed || strings.Contains(r.stderr, "certificate") || !strings.Contains(r.stderr, "no stream SALLYPORT_APPROVALS") {
		t.Errorf("with its roots: %+v", r)
	}
	if r := do(t, append(list, "--nats-ca-file", "roots.pem")...); r.code != exitUsage || !strings.Contains(r.stderr, "--nats") {
		t.Errorf("without --nats: %+v", r)
	}
}
