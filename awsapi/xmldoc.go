package awsapi

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// readXML reads one XML document into node at (Smithy, "XML binding traits"). There
// is no DTD, no processing instruction other than the declaration, one namespace;
// structures hold no text and values no elements: what a reader skips another could
// take.
func (d *document) readXML(at int32, body []byte) error {
	// XML behind a byte order mark, or in UTF-16, is XML to a server, and must not
	// pass for text here.
	if bytes.HasPrefix(body, []byte("\xef\xbb\xbf")) || bytes.IndexByte(body[:min(4, len(body))], 0) >= 0 ||
		bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		return refusal.New(refusal.Malformed, "the request body begins with a byte order mark or is not UTF-8")
	}
	if bytes.Contains(body, []byte("<![CDATA[")) {
		// Like a comment it parts a text, and some readers take the first part only. No
		// client writes one.
		return refusal.New(refusal.Malformed, "the request body has a CDATA section; escape its text")
	}
	r := xmlReader{document: d, dec: xml.NewDecoder(bytes.NewReader(body))}
	err := r.root(at)
	if e := (*refusal.Error)(nil); errors.As(err, &e) {
		return e
	}
	if err != nil {
		return refusal.New(refusal.Malformed, "the request body is not plain XML: %v", err)
	}
	return nil
}

type xmlReader struct {
	*document
	dec   *xml.Decoder
	space string // the root's namespace
}

func (r *xmlReader) root(at int32) error {
	seen := false
	for {
		t, err := r.dec.Token()
		if errors.Is(err, io.EOF) {
			if !seen {
				return errors.New("no root element")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch e := t.(type) {
		case xml.Directive:
			return errors.New("a DTD is not accepted")
		case xml.ProcInst:
			if e.Target != "xml" || seen {
				return errors.New("processing instructions are not accepted")
			}
		case xml.StartElement:
			if seen {
				return errors.New("more than one root element")
			}
			seen, r.space = true, e.Name.Space
			if err := r.element(at, e, 0); err != nil {
				return err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(e)) > 0 {
				return errors.New("text outside the root element")
			}
		}
	}
}

// element reads what is inside start into a node that has its name and shape.
func (r *xmlReader) element(at int32, start xml.StartElement, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	if start.Name.Space != r.space {
		return fmt.Errorf("the element %s is of another namespace than the root", clip(start.Name.Local))
	}
	if err := r.attributes(at, start); err != nil {
		return err
	}
	sh := r.shapeOf(at)
	var text strings.Builder
	inside, remark := false, false
	var k keys
	for {
		t, err := r.dec.Token()
		if err != nil {
			return err
		}
		switch e := t.(type) {
		case xml.StartElement:
			if sh.IsScalar() {
				return fmt.Errorf("%s is a value and has an element inside", clip(start.Name.Local))
			}
			inside = true
			c, err := r.childOf(at, sh, e.Name.Local, &k)
			if err != nil {
				return err
			}
			if err := r.element(c, e, depth+1); err != nil {
				return err
			}
		case xml.CharData:
			text.Write(e)
		case xml.Comment:
			remark = true
		case xml.EndElement:
			return r.end(at, sh, text.String(), inside, remark)
		default:
			return errors.New("a DTD or processing instruction inside the document")
		}
	}
}

// attributes takes the members that are attributes (xsi:type); declarations of
// namespaces and the schema's place mean nothing.
func (r *xmlReader) attributes(at int32, start xml.StartElement) error {
	for _, a := range start.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" || a.Name.Local == "schemaLocation" {
			continue
		}
		known := false
		for _, m := range r.shapes.Members(r.shapeOf(at)) {
			if m.Attribute && m.Wire[strings.IndexByte(m.Wire, ':')+1:] == a.Name.Local {
				if _, err := r.add(at, r.scalar(m.Name, a.Value, m.Shape)); err != nil {
					return err
				}
				known = true
			}
		}
		if !known {
			return fmt.Errorf("the element %s has an attribute %s that is no member", clip(start.Name.Local), clip(a.Name.Local))
		}
	}
	return nil
}

// childOf adds the node for an element inside node at.
func (r *xmlReader) childOf(at int32, sh catalog.Shape, name string, k *keys) (int32, error) {
	switch {
	case sh.Kind == catalog.List:
		if want := r.shapes.Element(sh); name != want {
			return 0, fmt.Errorf("a list of %s has an element %s", want, clip(name))
		}
		return r.add(at, node{shape: sh.Of})
	case sh.IsMap():
		if name != "entry" {
			return 0, fmt.Errorf("a map has an element %s in place of entry", clip(name))
		}
		return r.add(at, node{shape: isEntry - r.nodes[at].shape})
	case r.nodes[at].shape <= isEntry:
		of := r.shapes.At(isEntry - r.nodes[at].shape)
		key, value := r.shapes.Entry(of)
		if name != key && name != value || r.child(at, name) != 0 {
			return 0, fmt.Errorf("the entry of a map has an element %s", clip(name))
		}
		n := node{name: name, shape: noShape}
		if name == value {
			n.shape = of.Of
		}
		return r.add(at, n)
	}
	n, err := node{}, error(nil)
	if n.name, n.shape, err = r.member(at, name); err != nil {
		return 0, err
	}
	if flat := r.shapes.At(n.shape); flat.Kind == catalog.FlatList {
		list := r.child(at, n.name)
		if list == 0 {
			n.kind = listNode
			if list, err = r.add(at, n); err != nil {
				return 0, err
			}
		}
		return r.add(list, node{shape: flat.Of})
	}
	if err := k.add(r.document, at, n.name); err != nil {
		return 0, fmt.Errorf("the element %s comes twice", clip(name))
	}
	return r.add(at, n)
}

func (r *xmlReader) end(at int32, sh catalog.Shape, text string, inside, remark bool) error {
	n := &r.nodes[at]
	switch {
	case inside || !sh.IsScalar() && sh.Kind != catalog.Document:
		if strings.TrimSpace(text) != "" {
			return errors.New("text beside elements")
		}
		n.kind = objectNode
		if sh.IsList() {
			n.kind = listNode
		}
		if sh.IsMap() {
			return r.entries(at, sh)
		}
	case remark:
		// Readers differ on whether the text before a comment is all there is.
		return errors.New("a comment inside a value")
	default:
		v := r.scalar(n.name, text, n.shape)
		n.kind, n.text = v.kind, v.text
	}
	return nil
}
