package catalog

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind says what a shape is.
type Kind byte

// The kinds, by their letter in the tables (../catalog/build/shapes.py).
const (
	String    Kind = 'S'
	Integer   Kind = 'I'
	Float     Kind = 'D'
	Boolean   Kind = 'B'
	Timestamp Kind = 'T'
	Blob      Kind = 'X'
	Document  Kind = 'J' // anything
	JSONValue Kind = 'V' // JSON as text, in base64 where it is in a header
	List      Kind = 'L'
	FlatList  Kind = 'F' // a list without an element around its elements
	Map       Kind = 'M'
	FlatMap   Kind = 'G'
	Structure Kind = 'R'
)

// Shapes are the input shapes of a service. The zero value has none.
type Shapes struct {
	list    []Shape
	members []ShapeMember
	names   [][2]string // of elements, where they are not the usual ones
}

// Shape is the form of an input, or of a part of one.
type Shape struct {
	Kind     Kind
	names    uint16 // 1 + index into Shapes.names; 0: the usual ones
	Of       int32  // of a list's elements or a map's values
	from, to int32  // of a structure's members
}

// ShapeMember is a member of a structure.
type ShapeMember struct {
	Name      string // the model's: InstanceIds
	Wire      string // on the wire: InstanceId
	Shape     int32
	Bound     bool // to the path, the query or a header: not in the body
	Attribute bool // of an XML element
}

// At is the shape of that number; anything for a number that is none.
func (s *Shapes) At(i int32) Shape {
	if s == nil || i < 0 || int(i) >= len(s.list) {
		return Shape{Kind: Document}
	}
	return s.list[i]
}

// Members are a structure's.
func (s *Shapes) Members(of Shape) []ShapeMember {
	if of.from == of.to {
		return nil
	}
	return s.members[of.from:of.to:of.to]
}

// Element is the name of the element around each of a list's elements: member.
func (s *Shapes) Element(of Shape) string {
	if of.names > 0 {
		return s.names[of.names-1][0]
	}
	return "member"
}

// Entry are the names of the elements of a map's entry: key and value.
func (s *Shapes) Entry(of Shape) (key, value string) {
	if of.names > 0 {
		return s.names[of.names-1][0], s.names[of.names-1][1]
	}
	return "key", "value"
}

// IsList reports a list of either form.
func (s Shape) IsList() bool { return s.Kind == List || s.Kind == FlatList }

// IsMap reports a map of either form.
func (s Shape) IsMap() bool { return s.Kind == Map || s.Kind == FlatMap }

// IsScalar reports what is neither a list, a map, a structure nor anything.
func (s Shape) IsScalar() bool {
	return !s.IsList() && !s.IsMap() && s.Kind != Structure && s.Kind != Document
}

// parseShapes reads the lines of build/shapes.py. The names stay parts of text.
func parseShapes(text string) (*Shapes, error) {
	s := &Shapes{}
	if text == "" {
		return s, nil
	}
	s.list = make([]Shape, 0, strings.Count(text, "\n")+1)
	s.members = make([]ShapeMember, 0, strings.Count(text, "@"))
	for line := range strings.SplitSeq(text, "\n") {
		if err := s.parse(line); err != nil {
			return nil, fmt.Errorf("shape %d: %w", len(s.list), err)
		}
	}
	for i, sh := range s.list {
		if int(sh.Of) >= len(s.list) {
			return nil, fmt.Errorf("shape %d is of %d, which is not there", i, sh.Of)
		}
	}
	for _, m := range s.members {
		if int(m.Shape) >= len(s.list) {
			return nil, fmt.Errorf("the member %s is of shape %d, which is not there", m.Name, m.Shape)
		}
	}
	return s, nil
}

func (s *Shapes) parse(line string) error {
	words := strings.Split(line, " ")
	if len(words[0]) != 1 {
		return fmt.Errorf("%q does not begin with a kind", line)
	}
	sh := Shape{Kind: Kind(words[0][0])}
	words = words[1:]
	switch sh.Kind {
	case String, Integer, Float, Boolean, Timestamp, Blob, Document, JSONValue:
	case List, FlatList, Map, FlatMap:
		if len(words) == 0 {
			return fmt.Errorf("%q says not of what", line)
		}
		n, err := strconv.ParseUint(words[0], 10, 31)
		if err != nil {
			return err
		}
		sh.Of = int32(n)
		if len(words) > 1 {
			names := [2]string{words[1]}
			copy(names[1:], words[2:])
			s.names = append(s.names, names)
			sh.names = uint16(len(s.names))
		}
	case Structure:
		sh.from = int32(len(s.members))
		for _, w := range words {
			name, number, ok := strings.Cut(w, "@")
			n, err := strconv.ParseUint(number, 10, 31)
			if !ok || err != nil || name == "" {
				return fmt.Errorf("the member %q is not NAME@SHAPE", w)
			}
			m := ShapeMember{Shape: int32(n), Bound: name[0] == '!', Attribute: name[0] == '^'}
			name = strings.TrimLeft(name, "!^")
			if m.Name, m.Wire, ok = strings.Cut(name, "="); !ok {
				m.Wire = m.Name
			}
			s.members = append(s.members, m)
		}
		sh.to = int32(len(s.members))
	default:
		return fmt.Errorf("%q is no kind of shape", string(sh.Kind))
	}
	s.list = append(s.list, sh)
	return nil
}
