package config

import (
	"net/url"
	"strings"
)

func (c *Config) validateNATS() {
	n := &c.NATS
	if n.URL == "" {
		if n.Listen.IsZero() {
			c.doc.Errorf("nats.listen", "the embedded server needs an address, such as 127.0.0.1:4222; port 0 is any free port")
		}
		only := map[string]bool{"nats.creds_file": n.CredsFile != "", "nats.tls": n.TLS != NATSTLS{}, "nats.replicas": n.Replicas > 1}
		for key, set := range only {
			if set {
				c.doc.Errorf(key, "is for a NATS server of your own; set nats.url, or remove this")
			}
		}
	} else {
		if c.doc.Has("nats.listen") && !n.Listen.IsZero() {
			c.doc.Errorf("nats.listen", "is the embedded server's address, and nats.url names another server; remove one of them")
		}
		for one := range strings.SplitSeq(n.URL, ",") {
			if why := badNATSURL(strings.TrimSpace(one)); why != "" {
				c.doc.Errorf("nats.url", "%s", why)
				break
			}
		}
	}
	if (n.TLS.CertFile == "") != (n.TLS.KeyFile == "") {
		c.doc.Errorf("nats.tls", "cert_file and key_file belong together; set both or none")
	}
	// JetStream's Raft groups have an odd size, at most five.
	if n.Replicas != 1 && n.Replicas != 3 && n.Replicas != 5 {
		c.doc.Errorf("nats.replicas", "%d is not 1, 3 or 5", n.Replicas)
	}
	if len(n.SubjectPrefix) > 64 || !subjectToken.MatchString(n.SubjectPrefix) {
		c.doc.Errorf("nats.subject_prefix", "expected letters, digits, - and _ with dots between, at most 64, not beginning with _")
	}
}

// badNATSURL says why a text is not the URL of a NATS server, without quoting it:
// people write passwords into such URLs.
func badNATSURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return "expected nats://host:port, or several with commas between"
	case u.User != nil:
		return "must not hold a user, password or token; put them into a file and name it in nats.creds_file"
	case u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss":
		return "expected a URL that begins with nats://, tls://, ws:// or wss://"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "expected nats://host:port without anything behind it"
	}
	return ""
}
