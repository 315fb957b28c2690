package mitm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mitm"
)

func TestParseAuthority(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	accepted := []struct {
		in, host string
		port     uint16
	}{
		{"store.cloud.example:443", "store.cloud.example", 443},
		{"STORE.Cloud.EXAMPLE:443", "store.cloud.example", 443},
		{"xn--bcher-kva.example:443", "xn--bcher-kva.example", 443},
		{"1password.example:8443", "1password.example", 8443},
		{"10.20.30.example:443", "10.20.30.example", 443},
		{"a--b.example:1", "a--b.example", 1},
		{label63 + ".example:65535", label63 + ".example", 65535},
	}
	for _, c := range accepted {
		host, port, err := mitm.ParseAuthority(c.in)
		if err != nil || host != c.host || port != c.port {
			t.Errorf("ParseAuthority(%q) = %q, %d, %v; want %q, %d", c.in, host, port, err, c.host, c.port)
		}
	}

	refused := map[string][]string{
		"address": {
			"169.254.169.254:443", "169.254.170.2:443", "127.0.0.1:443", "127.1:443", "0:443", "0.0:443", "127.0.0.1.:443",
			"0x7f000001:443", "0x7f.0x1:443", "0x7f.1:443", "2130706433:443", "0177.0.0.1:443", "10.0.0.1:443",
			"10.0.0.08:443", "1.2.3.4.5:443", "a.1:443", "a.0x7f:443", "a.0XFF:443",
			"[fd00:ec2::254]:443", "[::ffff:169.254.169.254]:443", "[::ffff:a9fe:a9fe]:443", "[::1]:443",
			"[::1%25lo]:443", "[64:ff9b::a9fe:a9fe]:443", "[2002:a9fe:a9fe::]:443", "::1:443", "fd00:ec2::254",
		},
		"port": {
			host, host + ":", host + ":0", host + ":65536", host + ":65979", host + ":443:443", host + ":+443", host + ":-443",
			host + ":0443", host + ":443 ", host + ": 443", host + ":0x1bb", host + ":4_43", host + ":https",
			host + ":443/", host + ":443?", host + ":443#", ":443", ":", "",
		},
		"form": {
			host + ".:443", "." + host + ":443", "store..example:443", host + "@evil.example:443", "user:pw@" + host + ":443",
			"[" + host + "]:443", "evil\x00." + host + ":443", "evil%00." + host + ":443", host + "%2eevil.example:443",
			"store\u3002cloud.example:443", "ｓtore.cloud.example:443", "store\u00ad.cloud.example:443",
			"bücher.example:443", "store_a.example:443", "-store.example:443", "store-.example:443", "*.example:443",
			strings.Repeat("a", 64) + ".example:443", strings.Repeat("a", 300) + ".example:443",
			strings.Repeat(label63+".", 4) + "example:443", "localhost:443", "metadata:443",
			"/x", "https://" + host + ":443", "http://" + host, "//" + host + ":443", host + "\t:443", " " + host + ":443",
			host + "\r\n:443", "store,evil.example:443",
			// Their lower case is ASCII in Unicode: KELVIN SIGN, and I WITH DOT ABOVE.
			"\u212Ams.cloud.example:443", "\u0130am.cloud.example:443",
		},
	}
	for kind, list := range refused {
		for _, in := range list {
			if host, port, err := mitm.ParseAuthority(in); err == nil {
				t.Errorf("%s: ParseAuthority(%q) = %q, %d; want an error", kind, in, host, port)
			} else if host != "" || port != 0 {
				t.Errorf("%s: ParseAuthority(%q) gave %q, %d beside its error", kind, in, host, port)
			}
		}
	}
}

// FuzzParseAuthority: what is accepted was ASCII, comes out as a canonical host
// name, and comes out the same when it is read again.
func FuzzParseAuthority(f *testing.F) {
	for _, s := range []string{
		host + ":443", "S3.EU-WEST-1.example:443", "127.1:443", "0x7f.1:1", "[::1]:443", host + ".:443", host + ":0443",
		"\u212Ams.example:443", "a.example@b.example:443", "a\x00.example:443", "-a.example:443", "a.9z:443", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := mitm.ParseAuthority(s)
		if err != nil {
			return
		}
		if len(host) > 253 || !strings.Contains(host, ".") || port == 0 {
			t.Fatalf("%q was accepted as %q, %d", s, host, port)
		}
		for _, label := range strings.Split(host, ".") {
			if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
				strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Fatalf("%q was accepted with the label %q", s, label)
			}
		}
		written := fmt.Sprintf("%s:%d", host, port)
		if len(written) != len(s) || !strings.EqualFold(written, s) || strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e }) {
			t.Fatalf("%q was accepted as %q", s, written)
		}
		if again, p, err := mitm.ParseAuthority(written); err != nil || again != host || p != port {
			t.Fatalf("%q reads as %q, %d, %v the second time", written, again, p, err)
		}
	})
}
