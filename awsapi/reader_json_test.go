package awsapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// json is how a reader reads a JSON body: the first document of it, or the last.
func (r *reader) json(b []byte) (node, error) {
	if r.lax {
		return readLastJSON(b)
	}
	return readJSON(b)
}

// readLastJSON reads the last of the documents in b.
func readLastJSON(b []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	n, err := jsonNode(d)
	for err == nil {
		var next node
		if next, err = jsonNode(d); err == nil {
			n = next
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// readJSON reads the first document of b, in any form that a lax parser takes.
func readJSON(b []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return jsonNode(d)
}

func jsonNode(d *json.Decoder) (node, error) {
	t, err := d.Token()
	if err != nil {
		return node{}, err
	}
	switch v := t.(type) {
	case json.Delim:
		n := node{list: v == '['}
		for d.More() {
			if !n.list {
				k, err := d.Token()
				if err != nil {
					return n, err
				}
				name, ok := k.(string)
				if !ok {
					return n, errNotRead
				}
				n.names = append(n.names, name)
			}
			kid, err := jsonNode(d)
			if err != nil {
				return n, err
			}
			n.kids = append(n.kids, kid)
		}
		_, err := d.Token()
		return n, err
	case string:
		return node{leaf: true, text: v, quote: true}, nil
	case json.Number:
		return node{leaf: true, text: v.String()}, nil
	case bool:
		return node{leaf: true, text: strconv.FormatBool(v)}, nil
	}
	return node{list: true, text: "null"}, nil
}
