package jit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/refusal"
)

// chunkSize is the data in each chunk but the last, AWS's own example's and its Java
// SDKs'. S3 wants 8 KiB at least.
const chunkSize = 64 << 10

const signatureLength = 2 * sha256.Size

// Room beside a chunk's data: for its size and signature before it, and behind it for
// the last chunk and the trailers, which may need more.
const (
	ahead  = 16 + len(";chunk-signature=") + signatureLength + len("\r\n")
	behind = 512
)

// encoded is the body that is sent for an aws-chunked one that comes in as body, and
// its length. Unsigned chunks are sent as they came. Signed ones are taken out and
// chunked anew, in a chain of signatures that begins with the request's: the signer
// is not nil then, and must be given that signature before the body is read. Either
// body fails before its end where the client's is not what its headers say.
func encoded(m message, body io.Reader) (io.Reader, int64, *chunkSigner, error) {
	if body == nil {
		body = http.NoBody
	}
	if m.payload == awsapi.PayloadStreamingUnsignedTrailer && m.regionSet == "" {
		checked, err := awschunked.NewChecked(body, m.chunks)
		if err != nil {
			return nil, 0, nil, refusal.Wrap(refusal.Malformed, err, "this body cannot be sent in chunks")
		}
		return checked, m.length, nil, nil
	}
	decoder, err := awschunked.NewDecoder(body, m.chunks)
	if err != nil {
		return nil, 0, nil, refusal.Wrap(refusal.Malformed, err, "this body cannot be sent in chunks")
	}
	if m.regionSet != "" {
		// SigV4A's signer knows no chunks: the object goes as it is, its checksum checked
		// here in place of there.
		return decoder, m.chunks.Length, nil, nil
	}
	s := &chunkSigner{src: decoder, sealed: m.payload == awsapi.PayloadStreamingSignedTrailer, buf: make([]byte, ahead+chunkSize, ahead+chunkSize+behind)}
	return s, encodedLength(m.chunks), s, nil
}

// encodedLength is how long the body is that a chunkSigner writes, in bytes.
func encodedLength(d awschunked.Declared) int64 {
	chunk := func(size int64) int64 {
		n := int64(len(strconv.FormatInt(size, 16)) + len(";chunk-signature=") + signatureLength + len("\r\n"))
		if size > 0 {
			n += size + int64(len("\r\n"))
		}
		return n
	}
	n := d.Length/chunkSize*chunk(chunkSize) + chunk(0) + int64(len("\r\n"))
	if rest := d.Length % chunkSize; rest > 0 {
		n += chunk(rest)
	}
	if len(d.Trailers) > 0 {
		n += d.TrailersLength() + int64(len("x-amz-trailer-signature:")+signatureLength+len("\r\n"))
	}
	return n
}

// chunkSigner writes what src holds as STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or
// -TRAILER where sealed (S3 API Reference, "Signature calculations: transferring
// payload in multiple chunks"). The chunk of size 0, without which no such body is
// complete, is written only after src has found its own body whole.
type chunkSigner struct {
	src    *awschunked.Decoder
	sealed bool
	buf    []byte // ahead, then a chunk's data
	out    []byte // in buf, to be given next
	err    error  // after out

	key         []byte // of the date, region and service; wiped at the end
	date, scope string
	previous    string // signature that the next one continues
}

// start gives the chain its first signature, that of req, which was signed with
// cred. The key is derived here and is good for this chain's scope alone, since the
// credential may be wiped while the body is still being sent.
func (s *chunkSigner) start(req *http.Request, m message, cred *Credential) error {
	_, signature, ok := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	s.date, s.previous = req.Header.Get("X-Amz-Date"), signature
	day, _, _ := strings.Cut(s.date, "T")
	if !ok || len(signature) != signatureLength || day == "" {
		return refusal.New(refusal.Credentials, "this request's signature is not one that chunks can continue")
	}
	parts := []string{day, m.region, m.name, "aws4_request"}
	s.scope = strings.Join(parts, "/")
	s.key = signingKey(cred, parts)
	return nil
}

// signingKey is the key that cred signs with in a scope of date, region, service and
// aws4_request (IAM User Guide, "Calculate the signature"). The caller clears it.
func signingKey(cred *Credential, scope []string) []byte {
	key := []byte("AWS4" + cred.secretKey.Reveal())
	for _, part := range scope {
		next := mac(key, part)
		clear(key)
		key = next
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text)
	return h.Sum(nil)
}

// next is the signature of parts, which continues the one before.
func (s *chunkSigner) next(algorithm string, parts ...[]byte) string {
	text := []string{algorithm, s.date, s.scope, s.previous}
	for _, p := range parts {
		sum := sha256.Sum256(p)
		text = append(text, hex.EncodeToString(sum[:]))
	}
	s.previous = hex.EncodeToString(mac(s.key, strings.Join(text, "\n")))
	return s.previous
}

// Read implements io.Reader.
func (s *chunkSigner) Read(p []byte) (int, error) {
	if len(s.out) == 0 && s.err == nil {
		if s.key == nil {
			s.err = refusal.New(refusal.Credentials, "the chunks' signatures have no beginning")
		} else {
			s.fill()
		}
		if s.err != nil {
			clear(s.key)
		}
	}
	if len(s.out) == 0 {
		clear(s.buf)
		return 0, s.err
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// fill makes one chunk, or the end.
func (s *chunkSigner) fill() {
	data, n := s.buf[ahead:], 0
	var err error
	for n < len(data) && err == nil {
		var k int
		k, err = s.src.Read(data[n:])
		n += k
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err // what is left of the data is of a body that lies
		return
	}
	s.out = data[:0]
	if n > 0 {
		head := s.head(data[:n])
		start := ahead - len(head)
		copy(s.buf[start:], head)
		s.out = append(s.buf[start:ahead+n], "\r\n"...)
	}
	if err != nil {
		s.end()
		s.err = io.EOF
	}
}

// head is what stands before a chunk's data.
func (s *chunkSigner) head(data []byte) string {
	return strconv.FormatInt(int64(len(data)), 16) + ";chunk-signature=" + s.next("AWS4-HMAC-SHA256-PAYLOAD", nil, data) + "\r\n"
}

// end adds the last chunk and the trailers. A trailer is signed with LF at its
// end and sent with CRLF.
func (s *chunkSigner) end() {
	s.out = append(s.out, s.head(nil)...)
	if s.sealed {
		var signed []byte
		for _, t := range s.src.Trailers() {
			signed = append(signed, t.Name+":"+t.Value+"\n"...)
			s.out = append(s.out, t.Name+":"+t.Value+"\r\n"...)
		}
		s.out = append(s.out, "x-amz-trailer-signature:"+s.next("AWS4-HMAC-SHA256-TRAILER", signed)+"\r\n"...)
	}
	s.out = append(s.out, "\r\n"...)
}
