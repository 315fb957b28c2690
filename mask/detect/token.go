package detect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
)

// How much of a token without a length of its own is looked at.
const (
	longestToken = 16 << 10
	longestJWT   = 32 << 10
)

// run takes a keyword with all characters of base64 that follow it, also escaped as
// JSON and URLs do, if they are at least least and at most longestToken.
func run(least int) matcher {
	return func(t []byte, p int, final bool) (start, end int, v verdict) {
		i := p
		for i < len(t) {
			if class64[t[i]] != 0 {
				i++
				continue
			}
			n := base64At(t[i:])
			if n == 0 {
				break
			}
			i += n
		}
		if i-p > longestToken {
			return 0, i - longestToken, no
		}
		// An escape that is cut off needs at most five bytes more.
		if !final && len(t)-i < 6 && (i == len(t) || t[i] == '\\' || t[i] == '%') {
			return p, 0, more
		}
		if i-p < least {
			return 0, 0, no
		}
		return p, i, yes
	}
}

// base64At is the length of the character of base64 at t's beginning, 0 if there is
// none: itself, or one of +, / and = as \/, \u002f or %2F.
func base64At(t []byte) int {
	switch c := t[0]; {
	case isAlnum(c), c == '+', c == '/', c == '-', c == '_', c == '=':
		return 1
	case c == '\\':
		if len(t) >= 2 && t[1] == '/' {
			return 2
		}
		if len(t) >= 6 && t[1] == 'u' && t[2] == '0' && t[3] == '0' && sign(t[4], t[5]) {
			return 6
		}
	case c == '%':
		if len(t) >= 3 && sign(t[1], t[2]) {
			return 3
		}
	}
	return 0
}

// sign tells the hexadecimal codes of +, / and =.
func sign(a, b byte) bool {
	b = lower(b)
	return a == '2' && (b == 'b' || b == 'f') || a == '3' && b == 'd'
}

// jwt finds a JWS or JWE in compact form (RFC 7515 section 7.1, RFC 7516 section
// 7.1): its header must decode to a JSON object that has "alg", which AWS's cursors,
// also base64 of JSON, have not.
func jwt(t []byte, p int, final bool) (start, end int, v verdict) {
	const longestHeader = 8 << 10
	i := p
	for i < len(t) && isURL64(t[i]) {
		i++
	}
	if i-p > longestHeader {
		return 0, i - longestHeader, no
	}
	if i == len(t) && !final {
		return p, 0, more
	}
	if i == len(t) || t[i] != '.' {
		return 0, i, no
	}
	segments, ok := header(t[p:i])
	if !ok {
		return 0, 0, no
	}
	head := i
	limit := p + longestJWT
	for ; i < len(t) && i < limit; i++ {
		if t[i] == '.' && segments > 1 {
			segments--
		} else if !isURL64(t[i]) && t[i] != '=' {
			break
		}
	}
	if i == len(t) && i < limit && !final {
		return p, 0, more
	}
	if i-head < 3 {
		return 0, 0, no
	}
	return p, i, yes
}

// header tells whether b is the header of a JWT, and how many segments that has.
func header(b []byte) (segments int, ok bool) {
	if first := decode64(nil, b[:min(len(b), 16)]); !isText(first) {
		return 0, false
	}
	plain, err := base64.RawURLEncoding.DecodeString(string(b))
	if err != nil || !bytes.Contains(plain, []byte(`alg`)) && !bytes.Contains(plain, []byte(`\u`)) {
		return 0, false
	}
	var h struct {
		Alg *string
		Enc *string
	}
	if json.Unmarshal(plain, &h) != nil || h.Alg == nil {
		return 0, false
	}
	if h.Enc != nil {
		return 5, true
	}
	return 3, true
}

func isURL64(c byte) bool { return isAlnum(c) || c == '-' || c == '_' }

// mixedCase tells a secret access key from a digest in hexadecimal or a name.
func mixedCase(secret []byte) bool {
	var up, low bool
	for _, c := range secret {
		up = up || c-'A' < 26
		low = low || c-'a' < 26
	}
	return up && low
}

// githubToken accepts what ends in the CRC-32 of its middle in base 62, as GitHub
// writes it ("Behind GitHub's new authentication token formats"), and what looks
// random without it: a token of a newer form would pass otherwise.
func githubToken(secret []byte) bool {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(secret) == 40 {
		sum := crc32.ChecksumIEEE(secret[4:34])
		var text [6]byte
		for i := len(text) - 1; i >= 0; i-- {
			text[i] = digits[sum%62]
			sum /= 62
		}
		if string(text[:]) == string(secret[34:]) {
			return true
		}
	}
	return entropy(secret) >= 3.5
}
