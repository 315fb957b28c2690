package awschunked

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
	"regexp"
	"strconv"
	"strings"
)

// naive is a second reader of aws-chunked bodies, of another make: whole strings and
// regular expressions. It and the stream must agree on every body.
func naive(body string, d Declared) (data string, ok bool) {
	sig := map[Form]string{
		Signed: `[0-9a-f]{64}`, SignedTrailer: `[0-9a-f]{64}`,
		AsymmetricSigned: `([0-9a-f]{2}){8,72}\**`, AsymmetricSignedTrailer: `([0-9a-f]{2}){8,72}\**`,
	}[d.Form]
	goodSig := func(s string) bool {
		if !regexp.MustCompile(`^(` + sig + `)$`).MatchString(s) {
			return false
		}
		return !strings.Contains(s, "*") || len(s) == 144
	}
	size := regexp.MustCompile(`^(0|[1-9a-fA-F][0-9a-fA-F]{0,14})$`)
	for {
		line, rest, found := strings.Cut(body, "\r\n")
		if !found {
			return "", false
		}
		body = rest
		if sig != "" {
			var s string
			if line, s, found = strings.Cut(line, ";chunk-signature="); !found || !goodSig(s) {
				return "", false
			}
		}
		if !size.MatchString(line) {
			return "", false
		}
		n, err := strconv.ParseInt(line, 16, 64)
		if err != nil || n > d.Length-int64(len(data)) || n > 0 && int64(len(body)) < n+2 {
			return "", false
		}
		if n == 0 {
			break
		}
		data += body[:n]
		if body[n:n+2] != "\r\n" {
			return "", false
		}
		body = body[n+2:]
	}
	if int64(len(data)) != d.Length {
		return "", false
	}
	want := map[string]bool{}
	for _, name := range d.Trailers {
		want[name] = true
	}
	lines := strings.Split(body, "\r\n")
	if len(lines) < 2 || lines[len(lines)-1] != "" || lines[len(lines)-2] != "" {
		return "", false
	}
	lines = lines[:len(lines)-2]
	if d.Form == SignedTrailer || d.Form == AsymmetricSignedTrailer {
		if len(lines) == 0 {
			return "", false
		}
		name, value, _ := strings.Cut(lines[len(lines)-1], ":")
		if strings.ToLower(name) != "x-amz-trailer-signature" || !goodSig(value) {
			return "", false
		}
		lines = lines[:len(lines)-1]
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if !want[name] || !naiveSum(name, strings.TrimSuffix(value, "\n"), data) {
			return "", false
		}
		delete(want, name)
	}
	return data, len(want) == 0
}

func naiveSum(name, value, data string) bool {
	b := []byte(data)
	var sum []byte
	switch strings.TrimPrefix(name, "x-amz-checksum-") {
	case "crc32":
		sum = binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))
	case "crc32c":
		sum = binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	case "crc64nvme":
		sum = binary.BigEndian.AppendUint64(nil, crc64.Checksum(b, crc64.MakeTable(nvme)))
	case "sha1":
		s := sha1.Sum(b)
		sum = s[:]
	case "sha256":
		s := sha256.Sum256(b)
		sum = s[:]
	default:
		n := checksums[name].size
		ok, err := regexp.MatchString(`^[A-Za-z0-9+/]*=*$`, value)
		raw, decodeErr := base64.StdEncoding.Strict().DecodeString(value)
		return err == nil && ok && decodeErr == nil && len(raw) == n
	}
	return base64.StdEncoding.EncodeToString(sum) == value
}
