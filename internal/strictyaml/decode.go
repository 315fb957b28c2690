package strictyaml

import (
	"encoding"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// value reads n into v. Recursion is bounded by maxDepth and by the type of v.
func (d *Document) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	at := Position{n.Line, n.Column}
	d.positions[path] = at
	switch {
	case depth > maxDepth:
		d.add(at, path, "nested too deeply")
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(at, path, "anchors and aliases are not read; write the value out")
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.add(at, path, "tags such as %q are not read; remove it", n.Tag)
		return
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.add(at, path, "has no value; give it %s or remove the key", expected(v.Type()))
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
		if def, ok := v.Addr().Interface().(Defaulter); ok {
			def.SetDefaults()
		}
	}
	if text := textOf(v); text != nil {
		d.text(n, v, path, text)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path, depth)
	case reflect.Map:
		d.mapping(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, path, depth)
	default:
		d.scalar(n, v, path)
	}
}

// textOf returns the parser of types that are written as one text, or nil.
func textOf(v reflect.Value) func(string) error {
	switch v.Type() {
	case durationType:
		return func(s string) error { return parseDuration(s, v) }
	case prefixType:
		return func(s string) error { return parsePrefix(s, v) }
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return func(s string) error { return u.UnmarshalText([]byte(s)) }
	}
	return nil
}

func (d *Document) text(n *yaml.Node, v reflect.Value, path string, parse func(string) error) {
	// Numbers and the like are passed on as written, for a better message ("60"
	// wants a unit), and because their text is what counts.
	if n.Kind != yaml.ScalarNode {
		d.wrongType(n, v, path)
		return
	}
	if err := parse(n.Value); err != nil {
		d.add(Position{n.Line, n.Column}, path, "%s", err)
	}
}

func (d *Document) scalar(n *yaml.Node, v reflect.Value, path string) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode {
		d.wrongType(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.String:
		if tag == "!!str" {
			v.SetString(n.Value)
			return
		}
		d.add(Position{n.Line, n.Column}, path, "expected a text, found %s; put it in quotes: %q", describe(n), n.Value)
		return
	case reflect.Bool:
		if tag == "!!bool" {
			v.SetBool(strings.EqualFold(n.Value, "true"))
			return
		}
	case reflect.Int, reflect.Int64:
		if i, err := strconv.ParseInt(n.Value, 10, 64); tag == "!!int" && err == nil {
			v.SetInt(i)
			return
		}
	case reflect.Float64:
		if f, err := strconv.ParseFloat(n.Value, 64); (tag == "!!int" || tag == "!!float") && err == nil {
			v.SetFloat(f)
			return
		}
	}
	d.wrongType(n, v, path)
}

func (d *Document) wrongType(n *yaml.Node, v reflect.Value, path string) {
	d.add(Position{n.Line, n.Column}, path, "expected %s, found %s", expected(v.Type()), describe(n))
}

func (d *Document) list(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, v, path)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.element(item, out.Index(i), path+"["+strconv.Itoa(i)+"]", depth)
	}
	v.Set(out)
}

func (d *Document) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, v, path)
		return
	}
	out := reflect.MakeMap(v.Type())
	d.pairs(n, path, func(key, item *yaml.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.element(item, e, join(path, key.Value), depth)
		out.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
	})
	v.Set(out)
}

// element is value for a list's or map's new element.
func (d *Document) element(n *yaml.Node, v reflect.Value, path string, depth int) {
	if v.Kind() != reflect.Pointer {
		if def, ok := v.Addr().Interface().(Defaulter); ok {
			def.SetDefaults()
		}
	}
	d.value(n, v, path, depth+1)
}

func (d *Document) structure(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, v, path)
		return
	}
	keys, fields := fieldsOf(v.Type())
	d.pairs(n, path, func(key, item *yaml.Node) {
		i, ok := fields[key.Value]
		if !ok {
			d.add(Position{key.Line, key.Column}, join(path, key.Value), "%s", unknownKey(key.Value, keys))
			return
		}
		d.value(item, v.Field(i), join(path, key.Value), depth+1)
	})
}

// pairs calls f for every key that is a plain text and was not there before.
func (d *Document) pairs(n *yaml.Node, path string, f func(key, item *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		at := Position{key.Line, key.Column}
		line, dup := first[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 || key.ShortTag() == "!!null":
			d.add(at, path, "a key must be a plain text")
		case key.ShortTag() == "!!merge":
			d.add(at, path, "merge keys (<<) are not read; write the keys out")
		case dup:
			d.add(at, join(path, key.Value), "this key is here twice, first on line %d; remove one", line)
		default:
			first[key.Value] = key.Line
			f(key, item)
			// What is said of a whole mapping or list points at its key, which is
			// where people look, not at its first entry on the next line.
			if item.Kind != yaml.ScalarNode {
				d.positions[join(path, key.Value)] = at
			}
		}
	}
}

// fieldsOf lists the keys of a struct in the order of its fields.
func fieldsOf(t reflect.Type) (keys []string, index map[string]int) {
	index = map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			keys = append(keys, name)
			index[name] = i
		}
	}
	return keys, index
}
