package enrich

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/event"
)

// MaxAnswer is the most bytes of an answer that are read.
const MaxAnswer = 1 << 20

// described are the tags of one resource.
type described struct {
	of   arn
	tags []event.Tag
}

var errAnswer = errors.New("the answer is not understood")

// Answer reads what AWS answered with a status below 300, or with S3's error for a
// bucket that has no tags. Every resource that was asked about is in it, in that order.
// The error is a sentence without anything of the answer.
func (r Read) Answer(status int, header http.Header, body []byte) ([]event.Described, error) {
	var all []described
	switch {
	case len(body) > MaxAnswer:
		return nil, errAnswer
	case status == http.StatusOK:
		var err error
		if all, err = r.row.parse(body, r.subjects); err != nil {
			return nil, err
		}
	case status == http.StatusNotFound && r.row.service == "s3" && ErrorCode(header, body) == "NoSuchTagSet":
	default:
		return nil, errAnswer
	}
	out := make([]event.Described, len(r.subjects))
	for i, s := range r.subjects {
		out[i].ARN = s.text
		for _, d := range all {
			if d.of.text == s.text {
				out[i].Name, out[i].Tags = named(d.tags)
			}
		}
	}
	return out, nil
}

// named takes the tag Name, which AWS's console shows as the name, out of tags, and
// sorts the others.
func named(tags []event.Tag) (name string, others []event.Tag) {
	for _, t := range tags {
		if t.Key == "Name" {
			name = t.Value
		} else {
			others = append(others, t)
		}
	}
	slices.SortFunc(others, func(a, b event.Tag) int { return strings.Compare(a.Key, b.Key) })
	return name, others
}

// ec2Answer is of many resources, by their ids.
func ec2Answer(body []byte, of []arn) ([]described, error) {
	var doc struct {
		XMLName xml.Name
		Tags    []struct {
			Resource string `xml:"resourceId"`
			Key      string `xml:"key"`
			Value    string `xml:"value"`
		} `xml:"tagSet>item"`
	}
	if xml.Unmarshal(body, &doc) != nil || doc.XMLName.Local != "DescribeTagsResponse" {
		return nil, errAnswer
	}
	out := make([]described, len(of))
	for i, a := range of {
		out[i].of = a
		_, id, _ := strings.Cut(a.resource, "/")
		for _, t := range doc.Tags {
			if t.Resource == id {
				out[i].tags = append(out[i].tags, event.Tag{Key: t.Key, Value: t.Value})
			}
		}
	}
	return out, nil
}

// xmlTags reads elements with Key and Value at a path below a root.
func xmlTags(root, path string) func([]byte, []arn) ([]described, error) {
	names := strings.Split(path, ">")
	return func(body []byte, of []arn) ([]described, error) {
		var doc element
		if xml.Unmarshal(body, &doc) != nil || doc.XMLName.Local != root {
			return nil, errAnswer
		}
		at := []element{doc}
		for _, name := range names {
			var below []element
			for _, e := range at {
				for _, c := range e.Children {
					if c.XMLName.Local == name {
						below = append(below, c)
					}
				}
			}
			at = below
		}
		d := described{of: of[0]}
		for _, e := range at {
			d.tags = append(d.tags, event.Tag{Key: e.child("Key"), Value: e.child("Value")})
		}
		return []described{d}, nil
	}
}

type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

func (e element) child(name string) string {
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			return c.Text
		}
	}
	return ""
}

// jsonTags reads the member Tags (or tags), which services give as a map, or as a list
// of keys and values under three names. Without it a resource has none.
func jsonTags(body []byte, of []arn) ([]described, error) {
	var doc struct{ Tags json.RawMessage }
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(body, &doc) != nil {
		return nil, errAnswer
	}
	d := described{of: of[0]}
	var list []struct{ Key, Value, TagKey, TagValue string }
	var all map[string]string
	switch {
	case len(doc.Tags) == 0:
	case json.Unmarshal(doc.Tags, &all) == nil:
		for k, v := range all {
			d.tags = append(d.tags, event.Tag{Key: k, Value: v})
		}
	case json.Unmarshal(doc.Tags, &list) == nil:
		for _, t := range list {
			d.tags = append(d.tags, event.Tag{Key: t.Key + t.TagKey, Value: t.Value + t.TagValue})
		}
	default:
		return nil, errAnswer
	}
	return []described{d}, nil
}

// errorCode is what AWS's codes look like; any other text of an answer is not repeated.
var errorCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.]{0,63}$`)

// ErrorCode is AWS's code of an error answer, in any protocol of the table; "" where
// there is none.
func ErrorCode(header http.Header, body []byte) string {
	code := header.Get("X-Amzn-Errortype")
	if code == "" {
		var doc struct {
			Type string `json:"__type"`
		}
		if json.Unmarshal(body, &doc) == nil {
			code = doc.Type
		} else {
			code = xmlCode(body)
		}
	}
	code = code[strings.LastIndexByte(code, '#')+1:]
	code, _, _ = strings.Cut(code, ":")
	if !errorCode.MatchString(code) {
		return ""
	}
	return code
}

func xmlCode(body []byte) string {
	dec := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := dec.Token()
		if err != nil {
			return ""
		}
		if start, ok := t.(xml.StartElement); ok && start.Name.Local == "Code" {
			if text, err := dec.Token(); err == nil {
				if c, ok := text.(xml.CharData); ok {
					return strings.TrimSpace(string(c))
				}
			}
			return ""
		}
	}
}
