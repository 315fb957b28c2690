package awsapi_test

import (
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
)

// cbor is how a reader reads a CBOR body: the first item of it (RFC 8949), or the
// last, of indefinite length too.
func (r *reader) cbor(b []byte) (node, error) {
	var items []node
	for len(b) > 0 {
		n, rest, err := cborNode(b, 0)
		if err != nil {
			if len(items) > 0 {
				break
			}
			return n, err
		}
		items, b = append(items, n), rest
	}
	return one(r, items), nil
}

func cborNode(b []byte, depth int) (node, []byte, error) {
	if len(b) == 0 || depth > 200 {
		return node{}, nil, errNotRead
	}
	whole := b
	major, info := b[0]>>5, b[0]&31
	b = b[1:]
	var arg uint64
	size := 0
	switch {
	case info < 24:
		arg = uint64(info)
	case info < 28:
		size = 1 << (info - 24)
		if len(b) < size {
			return node{}, nil, errNotRead
		}
		for _, c := range b[:size] {
			arg = arg<<8 | uint64(c)
		}
		b = b[size:]
	case info != 31:
		return node{}, nil, errNotRead
	}
	open := info == 31
	ended := func(n int) bool {
		if open {
			return len(b) > 0 && b[0] == 0xff
		}
		return uint64(n) >= arg
	}
	var err error
	switch major {
	case 0:
		return node{leaf: true, text: strconv.FormatUint(arg, 10), raw: whole[:len(whole)-len(b)]}, b, nil
	case 1:
		return node{leaf: true, text: "-" + strconv.FormatUint(arg+1, 10), raw: whole[:len(whole)-len(b)]}, b, nil
	case 2, 3:
		text := []byte{}
		if !open {
			if uint64(len(b)) < arg {
				return node{}, nil, errNotRead
			}
			text, b = b[:arg], b[arg:]
		} else {
			for !ended(0) {
				var part node
				if part, b, err = cborNode(b, depth+1); err != nil {
					return node{}, nil, err
				}
				if part.bytes != nil {
					part.text = string(part.bytes)
				}
				text = append(text, part.text...)
			}
			b = b[1:]
		}
		if major == 2 {
			return node{leaf: true, text: base64.StdEncoding.EncodeToString(text), bytes: text, raw: whole[:len(whole)-len(b)]}, b, nil
		}
		return node{leaf: true, text: string(text), quote: true}, b, nil
	case 4, 5:
		n := node{list: major == 4}
		for !ended(len(n.kids)) {
			var kid node
			if major == 5 {
				if kid, b, err = cborNode(b, depth+1); err != nil {
					return n, nil, err
				}
				n.names = append(n.names, kid.text)
			}
			if kid, b, err = cborNode(b, depth+1); err != nil {
				return n, nil, err
			}
			n.kids = append(n.kids, kid)
		}
		if open {
			b = b[1:]
		}
		return n, b, nil
	case 6:
		n, rest, err := cborNode(b, depth+1)
		switch {
		case err != nil:
			return n, nil, err
		case arg < 2 && n.leaf: // a time
			n.time = true
		case arg < 4 && n.bytes != nil: // a big integer
			x := new(big.Int).SetBytes(n.bytes)
			if arg == 3 {
				x.Not(x)
			}
			n.text, n.bytes = x.String(), nil
		}
		n.raw = whole[:len(whole)-len(rest)]
		if !n.leaf {
			n.raw = nil
		}
		return n, rest, nil
	}
	raw := whole[:len(whole)-len(b)]
	switch info {
	case 20, 21:
		return node{leaf: true, text: strconv.FormatBool(info == 21), raw: raw}, b, nil
	case 25:
		return node{leaf: true, text: strconv.FormatFloat(half(uint16(arg)), 'f', -1, 64), raw: raw}, b, nil
	case 26:
		return node{leaf: true, text: strconv.FormatFloat(float64(math.Float32frombits(uint32(arg))), 'f', -1, 64), raw: raw}, b, nil
	case 27:
		return node{leaf: true, text: strconv.FormatFloat(math.Float64frombits(arg), 'f', -1, 64), raw: raw}, b, nil
	}
	return node{list: true, text: "null", raw: raw}, b, nil
}

// half is a float of 16 bits.
func half(b uint16) float64 {
	f := math.Ldexp(float64(b&0x3ff), -24)
	switch exp := int(b >> 10 & 31); exp {
	case 0:
	case 31:
		if f = math.Inf(1); b&0x3ff != 0 {
			return math.NaN()
		}
	default:
		f = math.Ldexp(float64(b&0x3ff|0x400), exp-25)
	}
	if b>>15 == 1 {
		return -f
	}
	return f
}
