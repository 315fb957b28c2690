package detect

// The matchers of the sets that are off by default. Each looks at a bounded stretch
// of text, so that they work in a stream.

func twoDigits() (out []string) {
	for a := byte('0'); a <= '9'; a++ {
		for b := byte('0'); b <= '9'; b++ {
			out = append(out, string([]byte{a, b}))
		}
	}
	return out
}

func atAlnum() (out []string) {
	for c := byte('0'); c <= 'z'; c++ {
		if isAlnum(c) && c == lower(c) {
			out = append(out, "@"+string([]byte{c}))
		}
	}
	return out
}

// An address (RFC 5321 section 4.1.2, without quoted local parts): at most 64
// characters, "@", and a domain of at least two labels.
const longestLocal, longestDomain = 64, 253

func isLocal(c byte) bool {
	switch c {
	case '.', '_', '%', '+', '-', '\'', '&', '~', '#', '!', '^', '*':
		return true
	}
	return isAlnum(c) || c >= 0x80
}

func emailBack(t []byte) int {
	end := len(t)
	if end > 0 && t[end-1] == '@' {
		end--
	}
	p := end
	for p > 0 && end-p < longestLocal && isLocal(t[p-1]) {
		p--
	}
	if p == end && end < len(t) {
		return len(t)
	}
	return p
}

func email(t []byte, p int, final bool) (start, end int, v verdict) {
	start = p
	for start > 0 && p-start < longestLocal && isLocal(t[start-1]) {
		start--
	}
	for start < p && !isAlnum(t[start]) && t[start] < 0x80 {
		start++
	}
	if start == p || t[p-1] == '.' {
		return 0, 0, no
	}
	i, limit := p+1, p+1+longestDomain
	label, dots, letters := 0, 0, false
	end = p + 1
	for ; i < len(t) && i < limit; i++ {
		c := t[i]
		switch {
		case isAlnum(c):
			label++
			letters = letters && isAlpha(c) || label == 1 && isAlpha(c)
			if dots > 0 && letters && label >= 2 {
				end = i + 1
			}
			continue
		case c == '-' && label > 0:
			label++
			letters = false
			continue
		case c == '.' && label > 0:
			label, letters = 0, false
			dots++
			continue
		}
		break
	}
	if i == len(t) && i < limit && !final {
		return start, 0, more
	}
	if end == p+1 {
		return 0, 0, no
	}
	return start, end, yes
}

// digitsAt reads digits in groups, with single separators between them, from t[p:];
// at most most digits. It tells the groups' lengths and where it ended.
func digitsAt(t []byte, p, most int) (digits []byte, groups []int, end int) {
	digits = make([]byte, 0, 24)
	group := 0
	i := p
	for i < len(t) && len(digits) < most {
		c := t[i]
		if isDigit(c) {
			digits, group = append(digits, c), group+1
			i++
			end = i
			continue
		}
		if (c != ' ' && c != '-') || group == 0 || i+1 == len(t) || !isDigit(t[i+1]) {
			break
		}
		groups, group = append(groups, group), 0
		i++
	}
	return digits, append(groups, group), end
}

// digitsFollow tells what stands behind a number: a digit or the middle of one
// makes it part of something longer. more: it is not known yet.
func digitsFollow(t []byte, end int, final bool) verdict {
	if end == len(t) || end+1 == len(t) && (t[end] == '-' || t[end] == ' ' || t[end] == '.') {
		if final {
			return no
		}
		return more
	}
	c := t[end]
	if isWord(c) || (c == '-' || c == ' ' || c == '.') && isDigit(t[end+1]) {
		return yes
	}
	return no
}

// partOfNumber tells that t[p] goes on a number or an identifier.
func partOfNumber(t []byte, p int) bool {
	if p == 0 {
		return false
	}
	switch t[p-1] {
	case '.', '-', '+', '/', ':', '#':
		return p >= 2 && isAlnum(t[p-2]) || t[p-1] == '-' || t[p-1] == '/' && p >= 2 && t[p-2] == '\\'
	case ' ':
		return p >= 2 && isDigit(t[p-2])
	}
	return false
}

// card finds numbers of payment cards (ISO/IEC 7812-1): 13 to 19 digits with a known
// issuer's prefix and length, bare or in the groups that are printed, and a right
// Luhn digit.
func card(t []byte, p int, final bool) (start, end int, v verdict) {
	if partOfNumber(t, p) {
		return 0, 0, no
	}
	digits, groups, end := digitsAt(t, p, 20)
	if follows := digitsFollow(t, end, final); follows == more && len(digits) < 20 {
		return p, 0, more
	} else if follows == yes {
		return 0, 0, no
	}
	if !issued(digits) || !grouped(groups) || !luhn(digits) {
		return 0, 0, no
	}
	return p, end, yes
}

func number(digits []byte) (n int) {
	for _, c := range digits {
		n = 10*n + int(c-'0')
	}
	return n
}

func issued(d []byte) bool {
	if len(d) < 13 || len(d) > 19 {
		return false
	}
	two, three, four, six := number(d[:2]), number(d[:3]), number(d[:4]), number(d[:6])
	switch {
	case d[0] == '4':
		return len(d) == 13 || len(d) == 16 || len(d) == 19 // Visa
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return len(d) == 16 // Mastercard
	case two == 34 || two == 37:
		return len(d) == 15 // American Express
	case three >= 300 && three <= 305, two == 36, two == 38, two == 39:
		return len(d) == 14 || len(d) == 16 // Diners Club
	case four == 6011, two == 65, three >= 644 && three <= 649, six >= 622126 && six <= 622925, two == 62:
		return len(d) >= 16 // Discover, UnionPay
	case four >= 3528 && four <= 3589:
		return len(d) >= 16 // JCB
	case two == 50, two >= 56 && two <= 58, two == 67, two == 63:
		return len(d) >= 16 // Maestro; its shorter numbers look like any id
	}
	return false
}

func grouped(groups []int) bool {
	if len(groups) == 1 {
		return true
	}
	for i, n := range groups[:len(groups)-1] {
		if n != 4 && !(i == 1 && n == 6 && groups[0] == 4) {
			return false
		}
	}
	return groups[len(groups)-1] <= 5
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		n := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// ssn finds US social security numbers with separators. Numbers that were never
// given out are left: area 000, 666 and from 900, group 00, serial 0000 (SSA, "Social
// Security Number Randomization").
func ssn(t []byte, p int, final bool) (start, end int, v verdict) {
	const n = len("123-45-6789")
	if partOfNumber(t, p) {
		return 0, 0, no
	}
	w := t[p:min(len(t), p+n)]
	for i, c := range w {
		if i == 3 || i == 6 {
			if (c != '-' && c != ' ') || c != w[3] {
				return 0, 0, no
			}
		} else if !isDigit(c) {
			return 0, 0, no
		}
	}
	if len(w) < n {
		if final {
			return 0, 0, no
		}
		return p, 0, more
	}
	switch digitsFollow(t, p+n, final) {
	case yes:
		return 0, 0, no
	case more:
		return p, 0, more
	}
	area := number(w[:3])
	if area == 0 || area == 666 || area >= 900 || number(w[4:6]) == 0 || number(w[7:]) == 0 {
		return 0, 0, no
	}
	return p, p + n, yes
}
