package awsapi_test

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// element is an XML element.
type element struct {
	name  string
	attrs []xml.Attr
	kids  []element
	parts []string // its text, as comments, instructions, CDATA and elements part it
}

// readXML reads the first element of b, or the last.
func (r *reader) readXML(b []byte) (element, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var roots []element
	for {
		t, err := d.Token()
		if err != nil {
			if len(roots) > 0 {
				return one(r, roots), nil
			}
			return element{}, err
		}
		if start, ok := t.(xml.StartElement); ok {
			e, err := readElement(d, start)
			if err != nil {
				return e, err
			}
			roots = append(roots, e)
		}
	}
}

func readElement(d *xml.Decoder, start xml.StartElement) (element, error) {
	e := element{name: start.Name.Local, attrs: start.Attr}
	for {
		t, err := d.Token()
		if err != nil {
			return e, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			kid, err := readElement(d, t)
			if err != nil {
				return e, err
			}
			e.kids = append(e.kids, kid)
		case xml.CharData:
			e.parts = append(e.parts, string(t))
		case xml.EndElement:
			return e, nil
		}
	}
}

// xml gathers what is in e, of that shape. Of a text in parts, one reader takes the
// first and the other all.
func (u *under) xml(path string, shape int32, e element) {
	sh := u.shapes.At(shape)
	for _, a := range e.attrs {
		for _, m := range u.shapes.Members(sh) {
			if local := m.Wire[strings.IndexByte(m.Wire, ':')+1:]; m.Attribute && u.same(local, a.Name.Local) {
				u.add(below(path, m.Name), m.Shape, a.Value)
			}
		}
	}
	if u.lax && slices.ContainsFunc(e.attrs, func(a xml.Attr) bool { return a.Name.Local == "nil" && a.Value == "true" }) {
		return // XML Schema's null
	}
	switch {
	case sh.IsScalar() || len(e.kids) == 0 && sh.Kind == catalog.Document:
		text := strings.Join(e.parts, "")
		if len(e.parts) > 0 && !u.lax {
			text = e.parts[0]
		}
		u.add(path, shape, text)
	case sh.IsList():
		for _, k := range e.kids {
			if u.same(k.name, u.shapes.Element(sh)) {
				u.xml(path, sh.Of, k)
			}
		}
	case sh.IsMap():
		for _, k := range e.kids {
			u.xmlEntry(path, sh, k)
		}
	default:
		type entry struct {
			shape    int32
			elements []element
		}
		chosen := map[string]entry{}
		for _, k := range e.kids {
			name, of := u.member(sh, k.name)
			chosen[name] = entry{of, append(chosen[name].elements, k)}
		}
		for name, c := range chosen {
			if of := u.shapes.At(c.shape); of.Kind == catalog.FlatList {
				for _, k := range c.elements {
					u.xml(below(path, name), of.Of, k)
				}
				continue
			}
			u.xml(below(path, name), c.shape, one(u.reader, c.elements))
		}
	}
}

func (u *under) xmlEntry(path string, sh catalog.Shape, e element) {
	keyName, valueName := u.shapes.Entry(sh)
	name := ""
	for _, k := range e.kids {
		if u.same(k.name, keyName) {
			name = strings.Join(k.parts, "")
		}
	}
	for _, k := range e.kids {
		if u.same(k.name, valueName) {
			u.xml(below(path, name), sh.Of, k)
		}
	}
}
