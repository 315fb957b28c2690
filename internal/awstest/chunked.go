package awstest

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The forms of aws-chunked bodies.
const (
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

// dechunk decodes an aws-chunked body (S3 API Reference, "Signature calculations:
// transferring payload in multiple chunks"), and checks its length, its checksum
// and, where its chunks are signed, each signature.
func (x *exchange) dechunk() error {
	form := x.rec.Header.Get("X-Amz-Content-Sha256")
	if !slices.Contains([]string{unsignedTrailer, signedChunks, signedTrailer}, form) {
		return nil
	}
	incomplete := fault(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly")
	c := newChain(x.rec, x.key)
	var decoded []byte
	rest := x.body
	for {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		digits, signature, signed := strings.Cut(string(line), ";chunk-signature=")
		size, err := strconv.ParseInt(digits, 16, 32)
		if !ok || err != nil || size < 0 || int(size) > len(after) || signed != (form != unsignedTrailer) {
			return incomplete
		}
		rest = after
		if signed && !c.next("AWS4-HMAC-SHA256-PAYLOAD", signature, nil, rest[:size]) {
			return errSignature
		}
		if size == 0 {
			break
		}
		decoded = append(decoded, rest[:size]...)
		if rest, ok = bytes.CutPrefix(rest[size:], []byte("\r\n")); !ok {
			return incomplete
		}
	}
	if x.rec.Header.Get("X-Amz-Decoded-Content-Length") != strconv.Itoa(len(decoded)) {
		return incomplete
	}
	trailer := string(rest)
	if form == signedTrailer {
		var signature string
		var ok bool
		if trailer, signature, ok = strings.Cut(trailer, "x-amz-trailer-signature:"); !ok {
			return incomplete
		}
		signature, end, _ := strings.Cut(signature, "\r\n")
		if !c.next("AWS4-HMAC-SHA256-TRAILER", signature, []byte(strings.ReplaceAll(trailer, "\r\n", "\n"))) {
			return errSignature
		}
		trailer += end
	}
	if form == signedChunks {
		if trailer != "\r\n" {
			return incomplete
		}
	} else if err := checkTrailer(trailer, x.rec.Header.Get("X-Amz-Trailer"), decoded); err != nil {
		return err
	}
	x.body = decoded
	return nil
}

var errSignature = fault(http.StatusForbidden, "SignatureDoesNotMatch", "A chunk's signature does not match the signature you provided.")

// chain is the signature that the next chunk continues.
type chain struct {
	key                   []byte
	date, scope, previous string
}

// newChain begins with the signature in Authorization, which was verified.
func newChain(r *Received, key *Key) *chain {
	auth := r.Header.Get("Authorization")
	_, scope, _ := strings.Cut(auth, "Credential="+key.ID+"/")
	scope, _, _ = strings.Cut(scope, ",")
	_, seed, _ := strings.Cut(auth, "Signature=")
	k := []byte("AWS4" + key.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		k = mac(k, part)
	}
	return &chain{key: k, date: r.Header.Get("X-Amz-Date"), scope: scope, previous: seed}
}

// next reports that signature is that of the next parts.
func (c *chain) next(algorithm, signature string, parts ...[]byte) bool {
	text := strings.Join([]string{algorithm, c.date, c.scope, c.previous}, "\n")
	for _, p := range parts {
		text += "\n" + hexSHA256(p)
	}
	c.previous = signature
	return hmac.Equal([]byte(hex.EncodeToString(mac(c.key, text))), []byte(signature))
}

func checkTrailer(text, announced string, decoded []byte) error {
	malformed := fault(http.StatusBadRequest, "MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
	text, ok := strings.CutSuffix(text, "\r\n\r\n")
	name, value, found := strings.Cut(text, ":")
	if !ok || !found || !strings.EqualFold(name, announced) {
		return malformed
	}
	var sum uint32
	switch strings.ToLower(name) {
	case "x-amz-checksum-crc32":
		sum = crc32.ChecksumIEEE(decoded)
	case "x-amz-checksum-crc32c":
		sum = crc32.Checksum(decoded, crc32.MakeTable(crc32.Castagnoli))
	default:
		return malformed
	}
	if base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)) != strings.TrimSpace(value) {
		return fault(http.StatusBadRequest, "BadDigest", "The CRC you specified did not match the calculated checksum.")
	}
	return nil
}
