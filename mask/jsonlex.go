package mask

// The lexical part of RFC 8259, as strict as encoding/json: a document that one of
// the agents' parsers could read otherwise is withheld.

func (w *jsonWalk) space(i int) int {
	for i < len(w.src) && (w.src[i] == ' ' || w.src[i] == '\n' || w.src[i] == '\r' || w.src[i] == '\t') {
		i++
	}
	return i
}

// str returns the end of the string at i.
func (w *jsonWalk) str(i int) int {
	if w.at(i) != '"' {
		return w.fail(errNotJSON)
	}
	src := w.src
	for i++; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
			switch w.at(i) {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for k := 1; k <= 4; k++ {
					if !isHex(w.at(i + k)) {
						return w.fail(errNotJSON)
					}
				}
				i += 4
			default:
				return w.fail(errNotJSON)
			}
		case c < ' ':
			return w.fail(errNotJSON)
		}
	}
	return w.fail(errNotJSON)
}

// number returns the end of the number at i.
func (w *jsonWalk) number(i int) int {
	if w.at(i) == '-' {
		i++
	}
	switch {
	case w.at(i) == '0':
		i++
	case !isDigit(w.at(i)):
		return w.fail(errNotJSON)
	default:
		i = w.digits(i)
	}
	if w.at(i) == '.' {
		if i++; !isDigit(w.at(i)) {
			return w.fail(errNotJSON)
		}
		i = w.digits(i)
	}
	if c := w.at(i); c == 'e' || c == 'E' {
		if i++; w.at(i) == '+' || w.at(i) == '-' {
			i++
		}
		if !isDigit(w.at(i)) {
			return w.fail(errNotJSON)
		}
		i = w.digits(i)
	}
	return i
}

func (w *jsonWalk) digits(i int) int {
	for isDigit(w.at(i)) {
		i++
	}
	return i
}

// literal handles true, false and null.
func (w *jsonWalk) literal(i int, word string, s spot) int {
	end := i + len(word)
	if end > len(w.src) || string(w.src[i:end]) != word {
		return w.fail(errNotJSON)
	}
	if s.all != nil && !s.mute && word != "null" {
		w.replace(i, end, []byte("false"))
	}
	return end
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
