package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of one file. A policy of 1,000 rules is about 300 KiB.
const (
	MaxBytes = 8 << 20
	maxDepth = 16
)

// Position is where something is written; both count from 1.
type Position struct{ Line, Column int }

// Document is a file that was read: where each key is, and what is wrong so far.
type Document struct {
	file      string
	positions map[string]Position
	failed    map[string]bool // paths that already have a problem
	problems  Problems
}

// Defaulter is implemented by struct types that are not zero when nothing is
// said. SetDefaults is called on every new list or map element before its keys
// are read.
type Defaulter interface{ SetDefaults() }

// Decode reads data into the struct that into points to. Keys that are absent
// leave their fields as they are, so that defaults are set beforehand. file is
// only for messages. What is wrong is in the Document; into holds what could be
// read and must not be used while Err is not nil.
func Decode(file string, data []byte, into any) *Document {
	d := &Document{file: file, positions: map[string]Position{}, failed: map[string]bool{}}
	if len(data) > MaxBytes {
		d.add(Position{}, "", "the file is %d bytes long; more than %d are not read", len(data), MaxBytes)
		return d
	}
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var root yaml.Node
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		d.add(Position{}, "", "the file is empty")
		return d
	} else if err != nil {
		d.syntax(err)
		return d
	}
	if body := root.Content[0]; body.Kind == yaml.ScalarNode && body.ShortTag() == "!!null" {
		d.add(Position{}, "", "the file is empty")
	} else {
		d.value(body, reflect.ValueOf(into).Elem(), "", 0)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
	default:
		// Not with add: the first document was read, and more can be said about it.
		d.problems = append(d.problems, Problem{File: d.file, Line: max(second.Line, 1), Column: max(second.Column, 1),
			Message: "a second document begins here; put everything in one, without ---"})
	}
	return d
}

var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

// syntax reports what the YAML parser refused. Its messages hold no values.
func (d *Document) syntax(err error) {
	m := yamlError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	line, _ := strconv.Atoi(m[1])
	d.add(Position{Line: line}, "", "this is not valid YAML: %s", m[2])
}

func (d *Document) add(at Position, path, format string, args ...any) {
	d.failed[path] = true
	d.problems = append(d.problems, Problem{File: d.file, Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// Has reports whether the file names the key.
func (d *Document) Has(path string) bool {
	_, ok := d.positions[path]
	return ok
}

// Position returns where the value of path is, or where the nearest key above it
// is when path is not in the file. The zero Position is the whole file.
func (d *Document) Position(path string) Position {
	for {
		if at, ok := d.positions[path]; ok || path == "" {
			return at
		}
		path = parent(path)
	}
}

// Problem makes a problem at path's position without adding it.
func (d *Document) Problem(path, format string, args ...any) Problem {
	at := d.Position(path)
	return Problem{File: d.file, Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...)}
}

// Errorf adds a problem found by later validation. Where the path, or a key above
// it, could not be read in the first place, nothing is added: one mistake is
// reported once.
func (d *Document) Errorf(path, format string, args ...any) {
	for p := path; ; p = parent(p) {
		if d.failed[p] {
			return
		}
		if p == "" {
			break
		}
	}
	d.add(d.Position(path), path, format, args...)
}

// Problems returns what is wrong so far.
func (d *Document) Problems() Problems { return d.problems }

// Err returns all problems as an error, or nil.
func (d *Document) Err() error { return d.problems.Err() }

// parent cuts the last key or index off a path. A map key that holds a dot or a
// bracket only makes the walk up longer.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
