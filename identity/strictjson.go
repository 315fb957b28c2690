package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds nesting of a token's JSON; real tokens have three or four levels.
const maxDepth = 32

// objectMembers reads b as exactly one JSON object (RFC 8259) and gives its
// members. Duplicate names, at any depth and at the top also names that differ in
// case only, are errors: encoding/json takes the last and matches without case,
// other readers take the first, and a token would mean two things.
func objectMembers(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil || first != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	if err := checkObject(dec, 1); err != nil {
		return nil, err
	}
	if dec.More() || len(bytes.TrimSpace(b[dec.InputOffset():])) > 0 {
		return nil, errors.New("there is something after the JSON object")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	return m, nil
}

// checkObject reads to the end of an object whose brace was read.
func checkObject(dec *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return errors.New("it is not valid JSON")
		}
		name, _ := t.(string)
		key := name
		if depth == 1 {
			key = strings.ToLower(name)
		}
		if seen[key] {
			return fmt.Errorf("the member %s is there twice", quote(name))
		}
		seen[key] = true
		if err := checkValue(dec, depth); err != nil {
			return err
		}
	}
	return closing(dec)
}

func checkValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return errors.New("it is not valid JSON")
	}
	switch t {
	case json.Delim('{'), json.Delim('['):
		if depth >= maxDepth {
			return fmt.Errorf("it is nested deeper than %d levels", maxDepth)
		}
	}
	switch t {
	case json.Delim('{'):
		return checkObject(dec, depth+1)
	case json.Delim('['):
		for dec.More() {
			if err := checkValue(dec, depth+1); err != nil {
				return err
			}
		}
		return closing(dec)
	}
	return nil
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errors.New("it is not valid JSON")
	}
	return nil
}

// stringClaim reads a JSON string; ok is false for any other value.
func stringClaim(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// quote shows untrusted text in a message: escaped to ASCII and cut.
func quote(s string) string {
	const limit = 120
	if len(s) > limit {
		return fmt.Sprintf("%+q...", strings.ToValidUTF8(s[:limit], ""))
	}
	return fmt.Sprintf("%+q", s)
}
