package detect

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// A private key is masked from its BEGIN line to its END line. What stands between
// them is not judged: source code and configurations break keys in lines in many ways
// (\n, quotes, indentation), and a key whose END never comes is masked to the end of
// the text.
type armour struct {
	begin, end, dashes string // in lower case; dashes close both lines
	titled             bool   // the BEGIN line must name a private key
}

var (
	pemArmour   = armour{"-----begin", "-----end", "-----", true}
	ssh2Armour  = armour{"---- begin", "---- end", "----", true}
	puttyArmour = armour{"private-lines:", "private-mac:", "", false}
)

// How far a title may reach, and within how many bytes behind it a key must show.
const (
	longestTitle = 100
	showsWithin  = 256
)

func pem(t []byte, p int, final bool) (int, int, verdict)   { return pemArmour.at(t, p, final) }
func ssh2(t []byte, p int, final bool) (int, int, verdict)  { return ssh2Armour.at(t, p, final) }
func putty(t []byte, p int, final bool) (int, int, verdict) { return puttyArmour.at(t, p, final) }

func (a *armour) at(t []byte, p int, final bool) (start, end int, v verdict) {
	i := p + len(a.begin)
	if a.titled {
		title := t[i:min(len(t), i+longestTitle)]
		n := bytes.Index(title, []byte(a.dashes))
		if n < 0 {
			// A title has letters, digits and few signs: other text is not waited for.
			if !final && len(title) < longestTitle && !bytes.ContainsAny(title, "\r\n\"'<>\\") {
				return p, 0, more
			}
			return 0, 0, no
		}
		if !containsFold(title[:n], "private key") {
			return 0, 0, no
		}
		i += n + len(a.dashes)
	}
	body := t[i:min(len(t), i+showsWithin)]
	if !a.shows(body) {
		if !final && len(body) < showsWithin {
			return p, 0, more
		}
		return 0, 0, no
	}
	if end, ok := a.ends(t, i, final); ok {
		return p, end, yes
	}
	if final {
		return p, len(t), yes
	}
	return p, 0, opened
}

// shows tells a key from a text that speaks of one: a line of base64, or an END.
func (a *armour) shows(body []byte) bool {
	n := 0
	for _, c := range body {
		if !isAlnum(c) && c != '+' && c != '/' && c != '=' {
			n = 0
			continue
		}
		if n++; n == 16 {
			return true
		}
	}
	return containsFold(body, a.end)
}

// ends is where the key's END line ends, if that is in t[from:].
func (a armour) ends(t []byte, from int, final bool) (end int, ok bool) {
	for i := from; i+len(a.end) <= len(t); i++ {
		if !hasPrefixFold(t[i:], a.end) {
			continue
		}
		i += len(a.end)
		if a.dashes == "" {
			// "Private-MAC: " and hexadecimal digits.
			for limit := i + longestTitle; i < len(t) && i < limit && (t[i] == ' ' || isHex(t[i])); {
				i++
			}
			return i, final || i < len(t)
		}
		title := t[i:min(len(t), i+longestTitle)]
		if n := bytes.Index(title, []byte(a.dashes)); n >= 0 {
			return i + n + len(a.dashes), true
		}
		return i + len(title), final || len(title) == longestTitle
	}
	return 0, false
}

// pem64 finds a private key's PEM text in base64, as Kubernetes and many
// configurations keep it.
func pem64(t []byte, p int, final bool) (start, end int, v verdict) {
	const title = 96 // characters of base64 that hold the BEGIN line's title
	head := t[p:min(len(t), p+title)]
	n := 0
	for n < len(head) && (isAlnum(head[n]) || head[n] == '+' || head[n] == '/') {
		n++
	}
	if n == len(head) && n < title && !final {
		return p, 0, more
	}
	plain, err := base64.RawStdEncoding.DecodeString(string(head[:n&^3]))
	if err != nil || !strings.Contains(string(plain), "PRIVATE KEY") {
		return 0, 0, no
	}
	return run(64)(t, p, final)
}
