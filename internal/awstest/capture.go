package awstest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Received is one request as it arrived.
type Received struct {
	Method     string
	Host       string      // the Host header
	Target     string      // request target, byte for byte
	Header     http.Header // canonical names; Host and framing headers included
	Head       []byte      // request line and headers, byte for byte
	Body       []byte      // without transfer coding, up to Config.BodyCap bytes
	BodyLength int64
	BodySHA256 string            // hex, of the whole body
	KeyID      string            // access key id of a signature that was verified; "" otherwise
	Action     string            // IAM action that was checked, "" if the request was refused before
	Resource   string            // what Action was checked on
	Status     int               // of the answer
	ErrorCode  string            // of a refusal
	Form       map[string]string // of a form upload: its fields by their names in lower case
}

// conn remembers what is read from a connection, so that the head of a request
// is known byte for byte: net/http parses it away.
type conn struct {
	net.Conn
	limit int

	mu  sync.Mutex
	buf []byte // of the request that is being read, at most limit bytes
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	if room := c.limit - len(c.buf); room > 0 {
		c.buf = append(c.buf, p[:min(n, room)]...)
	}
	c.mu.Unlock()
	return n, err
}

// head is the head of the request that is being served.
func (c *conn) head() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := bytes.Index(c.buf, []byte("\r\n\r\n"))
	if end < 0 {
		return nil
	}
	return bytes.Clone(c.buf[:end+4])
}

// next forgets the request that was served. Clients that pipeline are not
// supported: what they sent ahead would be forgotten with it.
func (c *conn) next() {
	c.mu.Lock()
	c.buf = c.buf[:0]
	c.mu.Unlock()
}

// parseHead reads the header lines of a head, without the cleaning that
// net/http does.
func parseHead(head []byte) http.Header {
	h := http.Header{}
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(name)
		h[name] = append(h[name], strings.Trim(value, " \t"))
	}
	return h
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
