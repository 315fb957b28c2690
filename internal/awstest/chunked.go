package awstest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
)

// trailer decodes an aws-chunked body with an unsigned checksum trailer (S3 User
// Guide, "Trailing headers"), and checks its length and its checksum.
func (x *exchange) trailer() error {
	if x.rec.Header.Get("X-Amz-Content-Sha256") != "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
		return nil
	}
	incomplete := fault(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly")
	var decoded []byte
	rest := x.body
	for {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		size, err := strconv.ParseInt(string(line), 16, 32)
		if !ok || err != nil || size < 0 || int(size) > len(after) {
			return incomplete
		}
		rest = after
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
	if err := checkTrailer(string(rest), x.rec.Header.Get("X-Amz-Trailer"), decoded); err != nil {
		return err
	}
	x.body = decoded
	return nil
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
