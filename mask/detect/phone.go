package detect

func phoneStarts() []string {
	out := twoDigits()
	for c := byte('0'); c <= '9'; c++ {
		if c > '0' {
			out = append(out, "+"+string([]byte{c}))
		}
		out = append(out, "("+string([]byte{c}))
	}
	return out
}

// phone finds telephone numbers: international ones with "+" (ITU-T E.164: 8 to 15
// digits), and national ones in groups with separators, 0xx xxx xxxx and (xxx)
// xxx-xxxx and the like. Bare runs of digits are ids more often than numbers.
func phone(t []byte, p int, final bool) (start, end int, v verdict) {
	const most = 24 // bytes
	first := t[p]
	if first != '+' && first != '(' && (!boundary(t, p) || partOfNumber(t, p)) {
		return 0, 0, no
	}
	if p > 0 && (isWord(t[p-1]) && !boundary(t, p) || t[p-1] == '+' || t[p-1] == '(' && first != '+') {
		return 0, 0, no
	}
	w := t[p:min(len(t), p+most)]
	digits, groups, group, separator := 0, []int{}, 0, byte(0)
	i := 0
	for ; i < len(w); i++ {
		c := w[i]
		if isDigit(c) {
			digits, group = digits+1, group+1
			end = p + i + 1
			continue
		}
		if c == '+' && i == 0 || c == '(' && (i == 0 || w[i-1] == ' ') {
			continue
		}
		if c == ')' && group > 0 || (c == ' ' || c == '-' || c == '.' || c == '/') && i > 0 && (isDigit(w[i-1]) || w[i-1] == ')') {
			if group > 0 {
				groups, group = append(groups, group), 0
			}
			if c != ')' && c != ' ' {
				// One kind of separator, so that dates and addresses are not taken.
				if separator != 0 && separator != c {
					break
				}
				separator = c
			}
			continue
		}
		break
	}
	if i == len(w) && len(w) < most && !final {
		return p, 0, more
	}
	if group > 0 {
		groups = append(groups, group)
	}
	if follows := digitsFollow(t, end, final); follows == more {
		return p, 0, more
	} else if follows == yes {
		return 0, 0, no
	}
	if !dialled(first, digits, groups, t[p:end]) {
		return 0, 0, no
	}
	return p, end, yes
}

func dialled(first byte, digits int, groups []int, text []byte) bool {
	if first == '+' {
		return digits >= 8 && digits <= 15 && (len(groups) == 1 || groups[0] <= 4)
	}
	if len(groups) < 3 || digits < 9 || digits > 12 {
		return false
	}
	last := groups[len(groups)-1]
	switch {
	case first == '(' || groups[0] == 3 && groups[1] == 3:
		// (555) 123-4567, 555-123-4567: North America, where no code begins with 0 or 1.
		i := 0
		if first == '(' {
			i = 1
		}
		return digits == 10 && groups[1] == 3 && last == 4 && text[i] >= '2' || first == '(' && text[1] == '0'
	case text[0] == '0':
		// 020 7946 0958, 06 12 34 56 78, 030/123 456: a trunk prefix.
		return groups[0] >= 2 && groups[0] <= 5 && last >= 2 && digits >= 9 && digits <= 11
	}
	return false
}
