// Package mitm takes CONNECTs and serves what is inside them. It knows no AWS: who
// may go where is Proxy.Admit's word, and what a request means is the handler's.
//
// goproxy parses the CONNECT and hands the connection over; everything after is
// net/http's own server on the decrypted connection, with limits and timeouts
// (docs/adr/0001). One authority holds throughout: the host of the CONNECT, which
// SNI and the inner Host must equal. Refused: other ports than Admit allows, IP
// literals, names with odd characters, plaintext in the tunnel, requests that are
// not in origin form, upgrades, HTTP/2, and plain proxy requests without CONNECT.
//
// Upstream is the way out: connections verified, addresses checked when they are
// dialled, a pool for each identity.
package mitm
