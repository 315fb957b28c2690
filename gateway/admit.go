package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/mitm"
	"github.com/sallyport/sallyport/refusal"
)

// caller is who opened the tunnel. Exactly one of principal and problem is set.
type caller struct {
	label     string
	reason    string // what the client says that its calls are for, as it came
	principal *identity.Principal
	problem   *refusal.Error
	host      string
	address   string // the client's IP address
}

// Admit answers a CONNECT: who is calling, and may this host be reached at all.
// A token that is wrong gets its tunnel to an AWS host all the same, and a 403 in
// it: clients hide a refused CONNECT and repeat it up to twenty times, but show a
// refusal inside and stop.
func (g *Gateway) Admit(ctx context.Context, c mitm.Connect) mitm.Admission {
	who := &caller{host: c.Host, address: c.RemoteAddr.Addr().String(), reason: rawReason(c.StatedReason)}
	// A refused CONNECT is on record too: which hosts an agent tried says much.
	refuse := func(status int, e *refusal.Error) mitm.Admission {
		g.recordRefused(ctx, who, c.UserAgent, status, e)
		return mitm.Admission{Action: mitm.Refuse, Status: status, Message: "sallyport: " + e.Message}
	}
	label, token, err := identity.ParseProxyAuthorization(c.ProxyAuthorization)
	if err != nil {
		g.Metrics.unidentified.Inc()
		a := refuse(http.StatusProxyAuthRequired, refusal.Of(err))
		a.Challenge = true
		a.Message = "sallyport: give the OIDC token as the proxy password: HTTPS_PROXY=http://label:TOKEN@host:port, or start the agent with `sallyport run`"
		return a
	}
	who.label = label
	who.principal, err = g.Verifier.Verify(ctx, token)
	if err != nil {
		who.principal, who.problem = nil, refusal.Of(err)
		g.Metrics.unidentified.Inc()
	}
	aws := g.Identifier.UnderAWSSuffix(c.Host)
	switch {
	case aws && !g.vouches(c.Host):
		// Names such as *.on.aws and *.cloudfront.net are AWS's to give to anybody.
		// They are never tunnelled, and our CA may not vouch for them either.
		return refuse(http.StatusForbidden, refusal.New(refusal.Unidentified, "this name is AWS's, but no API endpoint: the gateway neither signs for it nor lets it through"))
	case aws && c.Port == 443:
		return mitm.Admission{Action: mitm.Intercept, Handler: &handler{Gateway: g, caller: who}, Began: g.began(ctx, who, false)}
	case aws:
		return refuse(http.StatusForbidden, refusal.New(refusal.Denied, "AWS is reached on port 443 only"))
	case !g.tunnels[c.Host+":"+strconv.Itoa(int(c.Port))]:
		return refuse(http.StatusForbidden, refusal.New(refusal.Denied, "this host is neither AWS nor in proxy.tunnel; ask the operator if the agent needs it"))
	case who.problem != nil:
		return refuse(http.StatusForbidden, who.problem)
	}
	if e := g.Revocations.Refusal(ctx, who.revocable("", "")); e != nil {
		return refuse(http.StatusForbidden, g.said(e))
	}
	return mitm.Admission{Action: mitm.Tunnel, Began: g.began(ctx, who, true)}
}

// vouches reports whether the CA's name constraints cover a host.
func (g *Gateway) vouches(host string) bool {
	return slices.ContainsFunc(g.suffixes, func(s string) bool { return strings.HasSuffix(host, "."+s) })
}
