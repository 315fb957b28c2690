package mask

import (
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// The major types of RFC 8949, section 3.1.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

const (
	cborFalse = 0xf4
	cborBreak = 0xff
)

// cborHead is the head of an item: its first byte and argument.
type cborHead struct {
	major, info byte
	arg         uint64
	end         int // offset behind the head
}

func (h cborHead) indefinite() bool { return h.info == 31 }

// head reads the head at i. A declared length is a number, and nothing is made as
// long as it says: what is there is compared with it.
func (w *cborWalk) head(i int) (cborHead, bool) {
	if i >= len(w.src) {
		w.fail(errNotCBOR)
		return cborHead{}, false
	}
	c := w.src[i]
	h := cborHead{major: c >> 5, info: c & 31, arg: uint64(c & 31), end: i + 1}
	if h.info < 24 || h.indefinite() && h.major >= cborBytes && h.major <= cborMap {
		return h, true
	}
	if h.info > 27 || len(w.src)-h.end < 1<<(h.info-24) {
		w.fail(errNotCBOR)
		return cborHead{}, false
	}
	h.arg = 0
	for range 1 << (h.info - 24) {
		h.arg = h.arg<<8 | uint64(w.src[h.end])
		h.end++
	}
	return h, true
}

// more reports that a map or array with the head h has a member with this ordinal
// at i, and steps over the break where it ends.
func (w *cborWalk) more(h cborHead, ordinal int, i *int) bool {
	if h.indefinite() {
		if *i < len(w.src) && w.src[*i] == cborBreak {
			*i++
			return false
		}
		return true
	}
	return uint64(ordinal) < h.arg
}

// join returns the content of the string with the head h, its chunks joined, and its
// end.
func (w *cborWalk) join(h cborHead) (plain []byte, end int) {
	if !h.indefinite() {
		if h.arg > uint64(len(w.src)-h.end) {
			return nil, w.fail(errNotCBOR)
		}
		end = h.end + int(h.arg)
		plain = w.src[h.end:end]
		if h.major == cborText && !utf8.Valid(plain) {
			return nil, w.fail(errNotCBOR)
		}
		return plain, end
	}
	for end = h.end; ; {
		if end < len(w.src) && w.src[end] == cborBreak {
			return plain, end + 1
		}
		c, ok := w.head(end)
		if !ok || c.major != h.major || c.indefinite() {
			return nil, w.fail(errNotCBOR)
		}
		var part []byte
		if part, end = w.join(c); w.err != nil {
			return nil, end
		}
		plain = append(plain, part...)
	}
}

// keyAt reads the key at i. A reader that takes 1 for "1", or bytes for a text, must
// find the same path, so all are named alike; major is cborUint for both kinds of
// integer.
func (w *cborWalk) keyAt(i int) (name []byte, major byte, end int) {
	h, ok := w.head(i)
	if !ok {
		return nil, 0, len(w.src)
	}
	switch h.major {
	case cborUint, cborNegative:
		return appendInteger(nil, h), cborUint, h.end
	case cborBytes, cborText:
		name, end = w.join(h)
		return name, h.major, end
	}
	return nil, 0, w.fail(errNotCBOR)
}

// textAt is the text string at i, and "" where there is none.
func (w *cborWalk) textAt(i int) string {
	if i >= len(w.src) || w.src[i]>>5 != cborText {
		return ""
	}
	h, ok := w.head(i)
	if !ok {
		return ""
	}
	plain, _ := w.join(h)
	return string(plain)
}

func appendHead(out []byte, major byte, arg uint64) []byte {
	switch {
	case arg < 24:
		return append(out, major<<5|byte(arg))
	case arg < 1<<8:
		return append(out, major<<5|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(out, major<<5|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(out, major<<5|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(out, major<<5|27), arg)
}

func appendString(out []byte, major byte, s string) []byte {
	return append(appendHead(out, major, uint64(len(s))), s...)
}

func appendInteger(out []byte, h cborHead) []byte {
	if h.major == cborUint {
		return strconv.AppendUint(out, h.arg, 10)
	}
	n := new(big.Int).SetUint64(h.arg)
	return n.Not(n).Append(out, 10)
}

// maxBignum is the longest bignum, in bytes, that a query sees.
const maxBignum = 128

// appendJSON renders the value at i, which was read before, for a rule's query:
// bytes are base64, tags are what they hold, what JSON cannot say is null.
func (w *cborWalk) appendJSON(out []byte, i int) ([]byte, int) {
	h, _ := w.head(i)
	switch h.major {
	case cborUint, cborNegative:
		return appendInteger(out, h), h.end
	case cborBytes:
		plain, end := w.join(h)
		return append(base64.StdEncoding.AppendEncode(append(out, '"'), plain), '"'), end
	case cborText:
		plain, end := w.join(h)
		return append(out, quote(string(plain), true)...), end
	case cborArray:
		out, i = append(out, '['), h.end
		for n := 0; w.more(h, n, &i); n++ {
			if n > 0 {
				out = append(out, ',')
			}
			out, i = w.appendJSON(out, i)
		}
		return append(out, ']'), i
	case cborMap:
		out, i = append(out, '{'), h.end
		for n := 0; w.more(h, n, &i); n++ {
			if n > 0 {
				out = append(out, ',')
			}
			var key []byte
			key, _, i = w.keyAt(i)
			out, i = w.appendJSON(append(append(out, quote(string(key), true)...), ':'), i)
		}
		return append(out, '}'), i
	case cborTag:
		if h.arg != tagBignum && h.arg != tagNegativeBignum {
			return w.appendJSON(out, h.end)
		}
		in, _ := w.head(h.end)
		plain, end := w.join(in)
		if len(plain) > maxBignum {
			return append(out, "null"...), end
		}
		n := new(big.Int).SetBytes(plain)
		if h.arg == tagNegativeBignum {
			n.Not(n)
		}
		return n.Append(out, 10), end
	}
	return appendSimple(out, h, w.src[i:h.end]), h.end
}

func appendSimple(out []byte, h cborHead, raw []byte) []byte {
	if h.info == 20 || h.info == 21 {
		return strconv.AppendBool(out, h.info == 21)
	}
	var f float64
	if h.info >= 25 && cbor.Unmarshal(raw, &f) == nil && f-f == 0 { // neither infinite nor NaN
		return strconv.AppendFloat(out, f, 'g', -1, 64)
	}
	return append(out, "null"...)
}

// echoed are the members that hold nothing but what was signed.
var echoed = regexp.MustCompile(`(?i)^(?:AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest|CanonicalRequestBytes|Token-\d+)$`)

// scrubCBOR is ScrubError for the texts of a CBOR document, each by itself: what
// follows a text in the bytes is the next item's head, which may look like more of
// the token. ok is false where body is no CBOR.
func scrubCBOR(body []byte) (out []byte, n int, ok bool) {
	w := &cborWalk{docWalk: docWalk{walk: &walk{found: &findings{}}, src: body}, echoes: true}
	edits, err := w.document(spot{})
	if err != nil {
		return nil, 0, false
	}
	return apply(body, edits), w.echoed, true
}

// echo is a text without what it echoes.
func (w *cborWalk) echo(plain []byte, name string) string {
	out, n := ScrubError(plain)
	if echoed.MatchString(name) {
		out = make([]byte, len(plain))
		for i := range out {
			out[i] = '*'
		}
		n = 1
		if string(out) == string(plain) {
			n = 0
		}
	}
	w.echoed += n
	return string(out)
}
