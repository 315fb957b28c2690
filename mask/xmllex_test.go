package mask

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// lexed is the document's tokens, one a line, or an error.
func lexed(doc []byte) (string, error) {
	x := newXMLLexer(doc)
	var b strings.Builder
	for {
		t, ok := x.next()
		if !ok {
			return b.String(), x.err
		}
		in := doc[t.from:t.to]
		switch t.kind {
		case xmlStart:
			fmt.Fprintf(&b, "%d start %q", t.end, doc[t.local:t.to])
			for _, a := range x.attrs {
				value := appendXML(nil, doc[a.from:a.to], false)
				if a.verbatim && !bytes.Equal(value, doc[a.from:a.to]) {
					return "", errors.New("no verbatim value")
				}
				fmt.Fprintf(&b, " %q=%q", doc[a.local:a.nameEnd], value)
			}
			if t.empty {
				fmt.Fprintf(&b, "\n%d end %q", t.end, doc[t.local:t.to])
			}
		case xmlEnd:
			fmt.Fprintf(&b, "%d end %q", t.end, doc[t.local:t.to])
		case xmlText, xmlCDATA:
			text := appendXML(nil, in, t.kind == xmlCDATA)
			if t.verbatim && !bytes.Equal(text, in) {
				return "", errors.New("no verbatim text")
			}
			fmt.Fprintf(&b, "%d text %q", t.end, text)
		case xmlComment:
			fmt.Fprintf(&b, "%d comment %q", t.end, in)
		case xmlPI:
			fmt.Fprintf(&b, "%d pi %q", t.end, doc[t.from:t.to])
		}
		b.WriteByte('\n')
	}
}

// decoded is the same by encoding/xml.
func decoded(doc []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var b strings.Builder
	for {
		start := int(d.InputOffset())
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d ", d.InputOffset())
		switch t := tok.(type) {
		case xml.StartElement:
			fmt.Fprintf(&b, "start %q", t.Name.Local)
			for _, a := range t.Attr {
				fmt.Fprintf(&b, " %q=%q", a.Name.Local, a.Value)
			}
		case xml.EndElement:
			fmt.Fprintf(&b, "end %q", t.Name.Local)
		case xml.CharData:
			fmt.Fprintf(&b, "text %q", []byte(t))
		case xml.Comment:
			fmt.Fprintf(&b, "comment %q", []byte(t))
		case xml.ProcInst:
			fmt.Fprintf(&b, "pi %q", doc[start+2:d.InputOffset()-2])
			if !bytes.HasPrefix(doc[start+2:], []byte(t.Target)) {
				return "", errors.New("another target")
			}
		case xml.Directive:
			return "", errors.New("a directive")
		}
		b.WriteByte('\n')
	}
}

var xmlAccepted = []string{
	`<R/>`, "<?xml version=\"1.0\" encoding='UTF-8' standalone=\"yes\" ?>\n<R a='1' b = \"2\" >t</R >\n", "<?xml version=\"1.0\" encoding=\"utf-8\"?><a:R xmlns:a=\"u\" a:x='\"&lt;&#10;>'/> ",
	" \r\n\t<?xml version='1.0'?><R/><!-- c --><?p?><?p d?d ?>", `<R>a&amp;b&#x4b;&#75;&quot;&apos;&gt;]]&gt;] ]></R>`, "<R>a\r\nb\rc&#13;\n</R>", "<R><![CDATA[<&]]]]><![CDATA[>\r\n]]></R>",
	`<R><!----><!-- - -->x<!-->--></R>`, "<R>\u00e9\U0001f511\ufffd\u0085\ue000\ufeff</R>", "<\u00e9l\u00e9/>", `<a-.1 b.c-d_=""/>`, `<R a:x="1" b:x="2"/>`, `<R><R><R></R></R></R>`, `<R><a></a ></R>`, "<R>\x7f</R>", `<R a="]]>"/>`, `<R a='"' b="'"/>`,
}

var xmlRefused = []string{
	``, ` `, `x`, `<`, `<R`, `<R>`, `</R>`, `<R></r>`, `<R></R>x`, `x<R/>`, `<R/><R/>`, `<R></a></R>`, `<R></Rx>`, `<R></R`, `< R/>`, `<R / >`, `<R/`, `<1/>`, `<R a/>`, `<R a=1/>`, `<R a="1"b="2"/>`, `<R a="1" a="2"/>`, `<R a="<"/>`, `<R a="1/>`, `<R a="&x;"/>`, `<R =""/>`,
	`<R>&x;</R>`, `<R>&</R>`, `<R>& amp;</R>`, `<R>&amp</R>`, `<R>&#;</R>`, `<R>&#x;</R>`, `<R>&#0;</R>`, `<R>&#8;</R>`, `<R>&#xD800;</R>`, `<R>&#xFFFE;</R>`, `<R>&#x110000;</R>`, `<R>&#99999999999999999999;</R>`, `<R>&#X41;</R>`, `<R>&#x4G;</R>`, `<R>&#4a;</R>`, `<R>&AMP;</R>`, `<R>]]></R>`,
	`<R><![CDATA[x]]</R>`, `<R><![cdata[x]]></R>`, `<![CDATA[]]><R/>`, `<R><!-- -- --></R>`, `<R><!-- ---></R>`, `<R><!--></R>`, `<R><!- x -></R>`, `<R><!-- x`, `<R><??></R>`, `<R><?p`, `<R><?p?x?></R>`, `<R><?xml version="1.0"?></R>`, `<!-- --><?xml version="1.0"?><R/>`, `<R/><?XML ?>`, `<?xml?><R/>`, `<?xml encoding="UTF-8"?><R/>`, `<?xml version="1.1"?><R/>`, `<?xml version="1.0" encoding="UTF-16"?><R/>`, `<?xml version="1.0" encoding = "latin1"?><R/>`, `<?xml version="1.0" x="y"?><R/>`, `<?xml version="1.0"encoding="UTF-8"?><R/>`, `<?xml version="1.0" standalone="maybe"?><R/>`, `<?xml version="1.0"?>`,
	`<!DOCTYPE R><R/>`, `<R><!ENTITY x "y"></R>`, "<R>\x00</R>", "<R>\x1f</R>", "<R a='\x0b'/>", "<R><!--\x01--></R>", "<R><![CDATA[\x01]]></R>", "<R><?p \x01?></R>", "<R>\ufffe</R>", "<R><![CDATA[\uffff]]></R>", "<R>\xff</R>", "\xef\xbb\xbf<R/>", "<R>\xed\xa0\x80</R>", "<:R/>", "<R:/>", "<a:b:c/>", "<R a:=''/>", "<\u00d7/>", "<R\u00d7/>", "<R\u2028a='1'/>", "<R>&#x4b</R>", "<\xffR/>", "<R a='&#1;'/>",
}

func TestXMLTokens(t *testing.T) {
	for _, doc := range xmlAccepted {
		got, err := lexed([]byte(doc))
		if err != nil {
			t.Errorf("%q: %v", doc, err)
		}
		want, err := decoded([]byte(doc))
		if err != nil || got != want {
			t.Errorf("%q: got\n%swant\n%s%v", doc, got, want, err)
		}
	}
	for _, doc := range xmlRefused {
		if got, err := lexed([]byte(doc)); err == nil {
			t.Errorf("%q is accepted:\n%s", doc, got)
		}
	}
	// What is compared with all that came before it has a bound.
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, " a%d=''", i)
	}
	if _, err := lexed([]byte("<R" + many.String() + "/>")); err == nil {
		t.Error("300 attributes are accepted")
	}
}

// FuzzXMLTokens: whatever the lexer takes, encoding/xml takes, and sees the same
// tokens at the same places.
func FuzzXMLTokens(f *testing.F) {
	for _, doc := range append(xmlAccepted, xmlRefused...) {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := lexed(doc)
		if err != nil {
			if !errors.Is(err, errNotXML) && !errors.Is(err, errDTD) {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		want, err := decoded(doc)
		if err != nil || got != want {
			t.Fatalf("%q: got\n%swant\n%s%v", doc, got, want, err)
		}
	})
}
