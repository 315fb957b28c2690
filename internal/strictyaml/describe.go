package strictyaml

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// expected says in words what a field wants.
func expected(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case durationType:
		return "a duration such as 60s, 15m or 1h"
	case prefixType:
		return "a network such as 10.0.0.0/16"
	case reflect.TypeFor[Size]():
		return "a size such as 16MiB"
	case reflect.TypeFor[HostPort]():
		return "host:port"
	case reflect.TypeFor[URL]():
		return "a URL"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list ([] when empty)"
	case reflect.Map:
		return "a mapping (key: value)"
	case reflect.Struct:
		if keys, _ := fieldsOf(t); len(keys) > 0 {
			return "a mapping with the keys " + strings.Join(keys, ", ")
		}
	}
	return `a text ("" when empty)`
}

// describe says what a node is. It never quotes the value: somebody may have put
// a secret there.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!int", "!!float":
			return "a number"
		case "!!bool":
			return "true or false"
		case "!!timestamp":
			return "a date"
		}
	}
	return "a text"
}

// unknownKey suggests the nearest known key, or lists them all.
func unknownKey(key string, known []string) string {
	if near := Nearest(key, known); near != "" {
		return fmt.Sprintf("unknown key %q; did you mean %q?", key, near)
	}
	return fmt.Sprintf("unknown key %q; the keys here are %s", key, strings.Join(known, ", "))
}

// Nearest returns the word that a typing mistake most likely meant, or "".
func Nearest(word string, known []string) string {
	best, distance := "", max(1, min(3, len(word)/2))+1
	if len(word) > 64 {
		return ""
	}
	for _, k := range known {
		if dist := editDistance(strings.ToLower(word), strings.ToLower(k)); dist < distance {
			best, distance = k, dist
		}
	}
	return best
}

// editDistance is Levenshtein's, on bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
