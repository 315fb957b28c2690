package awsapi_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
)

// changeXML changes what re finds once in an XML body.
func changeXML(m *mutant, rng *rand.Rand, re *regexp.Regexp, change func(parts []string) string) bool {
	if !m.hasXML() {
		return false
	}
	all := re.FindAllSubmatchIndex(m.body, -1)
	if len(all) == 0 {
		return false
	}
	loc := all[rng.IntN(len(all))]
	var parts []string
	for i := 0; i < len(loc); i += 2 {
		parts = append(parts, string(m.body[loc[i]:loc[i+1]]))
	}
	m.setBody([]byte(string(m.body[:loc[0]]) + change(parts) + string(m.body[loc[1]:])))
	return true
}

var xmlText = regexp.MustCompile(`<([A-Za-z]+)>([^<]{2,})</[A-Za-z]+>`)

var xmlTag = regexp.MustCompile(`<([A-Za-z]+)>`)

// xmlChanges are of XML bodies.
var xmlChanges = []change{
	{"XML text in parts", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlText, func(p []string) string {
			return "<" + p[1] + ">" + p[2][:1] + pickOne(rng, "<!--x-->", "<![CDATA[x]]>", "<!---->", "<x/>", "&#120;", "<?x y?>", "&lt;", "&x;") + p[2][1:] + "</" + p[1] + ">"
		})
	}},
	{"XML element twice", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlText, func(p []string) string {
			n := pickOne(rng, p[1], turnCase(rng, p[1]), "x:"+p[1], p[1]+` xmlns="x"`)
			end, _, _ := strings.Cut(n, " ")
			second := "<" + n + ">x</" + end + ">"
			return pickOne(rng, p[0]+second, second+p[0])
		})
	}},
	{"XML element in other case", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlText, func(p []string) string {
			n := turnCase(rng, p[1])
			return "<" + n + ">" + p[2] + "</" + n + ">"
		})
	}},
	{"XML prologue", func(m *mutant, rng *rand.Rand) bool {
		if !m.hasXML() {
			return false
		}
		m.setBody(append([]byte(pickOne(rng, "<!DOCTYPE x>", `<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version="1.0" encoding="ISO-8859-1"?>`, `<?xml version="1.1"?>`, "<!--x-->", "<?x y?>", `<!DOCTYPE a [<!ENTITY x "y">]>`, " ", "<a/>")), m.body...))
		return true
	}},
	{"XML comment", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlTag, func(p []string) string {
			remark := pickOne(rng, "<!--x-->", "<!-- <Key>other</Key> -->", "<!-- -- -->", "<!--->", "<!--<!---->-->", "<!-- x", "<?x y?>", "<?xml version='1.0'?>")
			return pickOne(rng, p[0]+remark, remark+p[0])
		})
	}},
	{"XML attribute", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlTag, func(p []string) string {
			return "<" + p[1] + " " + pickOne(rng, `id="x"`, `xsi:nil="true"`, `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"`, `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"`, `xml:lang="en"`, `xml:space="preserve"`,
				`xml:base="x"`, `href="x"`, `id="x" id="y"`, `xmlns:a="b"`, `xsi:schemaLocation="x y"`, `Key="other"`, `xmlns:xi="http://www.w3.org/2001/XInclude" xi:href="file:///etc/passwd"`) + ">"
		})
	}},
	{"XML namespace", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlText, func(p []string) string {
			value := ">" + p[2] + "</"
			return pickOne(rng, "<a:"+p[1]+value+"a:"+p[1]+">", "<"+p[1]+` xmlns="x"`+value+p[1]+">", "<a:"+p[1]+` xmlns:a="x"`+value+"a:"+p[1]+">", "<"+p[1]+` xmlns=""`+value+p[1]+">",
				"<"+p[1]+` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`+value+p[1]+">", p[0]+"<a:"+p[1]+` xmlns:a="x">other</a:`+p[1]+">", p[0]+"<a:"+p[1]+">other</a:"+p[1]+">")
		})
	}},
	{"XML element moved", func(m *mutant, rng *rand.Rand) bool {
		return changeXML(m, rng, xmlText, func(p []string) string {
			return pickOne(rng, "<x>"+p[0]+"</x>", p[0]+"text", "<"+p[1]+">"+p[0]+"</"+p[1]+">", "<"+p[1]+"/>"+p[0], p[0]+"<"+p[1]+"/>", "<"+p[1]+">"+p[2]+"</x>", "<member>"+p[0]+"</member>", "<![CDATA["+p[0]+"]]>", "<"+p[1]+"><![CDATA["+p[2]+"]]></"+p[1]+">",
				"<"+p[1]+">\n"+p[2]+"\n</"+p[1]+">", "<"+p[1]+">&#x0;"+p[2]+"</"+p[1]+">", "<"+p[1]+" >"+p[2]+"</"+p[1]+" >")
		})
	}},
}
