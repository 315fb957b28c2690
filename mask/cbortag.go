package mask

// The tags of RFC 8949 that change what a value is.
const (
	tagTimeText = iota
	tagTime
	tagBignum
	tagNegativeBignum
	tagDecimal
	tagBigfloat
)

// tag handles a tagged value. What stands for one of a known kind is of that kind.
func (w *cborWalk) tag(i int, h cborHead, s spot, depth int) int {
	in, ok := w.head(h.end)
	if !ok {
		return len(w.src)
	}
	switch h.arg {
	case tagTimeText:
		ok = in.major == cborText
	case tagTime:
		ok = in.major == cborUint || in.major == cborNegative || in.major == cborSimple && in.info >= 25 && in.info <= 27
	case tagBignum, tagNegativeBignum:
		ok = in.major == cborBytes
	case tagDecimal, tagBigfloat:
		ok = in.major == cborArray
	}
	if !ok {
		return w.fail(errNotCBOR)
	}
	if !s.masked() || h.arg > tagBigfloat {
		return w.value(h.end, s, depth+1)
	}
	if h.arg == tagTime {
		m := *s.all
		m.style = Redact // the last digits of a time are most of it
		s.all = &m
		return w.value(h.end, s, depth+1)
	}
	end := w.skim(h.end, depth+1)
	if w.err != nil {
		return end
	}
	switch h.arg {
	case tagTimeText:
		w.replace(h.end, end, appendString(nil, cborText, "1970-01-01T00:00:00Z"))
	case tagBignum, tagNegativeBignum: // a negative one cannot be zero
		w.replace(i, end, appendString(appendHead(nil, cborTag, tagBignum), cborBytes, "\x00"))
	default: // exponent and mantissa
		w.replace(h.end, end, append(appendHead(nil, cborArray, 2), 0, 0))
	}
	return end
}
