package detect

// ibanLength holds the length of a country's IBAN (SWIFT, IBAN Registry).
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
	"BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
	"ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
	"LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
	"MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
	"PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
	"SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
	"YE": 30,
}

func countryDigits() (out []string) {
	for country := range ibanLength {
		for c := byte('0'); c <= '9'; c++ {
			out = append(out, country+string([]byte{c}))
		}
	}
	return out
}

// iban finds account numbers (ISO 13616): a country's code and length, in one piece
// or in printed groups of four, with a right remainder modulo 97.
func iban(t []byte, p int, final bool) (start, end int, v verdict) {
	length := ibanLength[string(t[p:p+2])]
	got, remainder, i := 0, 0, p
	var front int
	add := func(c byte) {
		if isDigit(c) {
			remainder = (remainder*10 + int(c-'0')) % 97
		} else {
			remainder = (remainder*100 + int(c&^0x20-'A') + 10) % 97
		}
	}
	for ; i < len(t) && got < length; i++ {
		c := t[i]
		if c == ' ' && got%4 == 0 && got > 0 && t[i-1] != ' ' {
			continue
		}
		if !isDigit(c) && c-'A' >= 26 {
			return 0, 0, no
		}
		got++
		if got <= 4 {
			front = i
			if got > 2 && !isDigit(c) {
				return 0, 0, no
			}
		} else {
			add(c)
		}
	}
	if got < length || i == len(t) && !final {
		if final {
			return 0, 0, no
		}
		return p, 0, more
	}
	if i < len(t) && isWord(t[i]) {
		return 0, 0, no
	}
	for _, c := range t[p : front+1] {
		if c != ' ' {
			add(c)
		}
	}
	if remainder != 1 {
		return 0, 0, no
	}
	return p, i, yes
}
