package awsapi

import (
	"encoding/xml"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// tags are the tags of an object. A form upload has them as a document, PutObject in a
// header as a query.
type tags []pair

// readTagging reads the document that PutObjectTagging has for its body, and nothing
// that has more in it.
func (id *Identifier) readTagging(text []byte) (tags, error) {
	svc, err := id.cat.Service(id.s3)
	if err != nil {
		return nil, refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	shapes, err := svc.Shapes()
	if err != nil {
		return nil, refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	op := svc.Operations["PutObjectTagging"]
	if op == nil {
		return nil, refusal.New(refusal.Unidentified, "the API catalog does not know how objects are tagged")
	}
	d := &document{}
	d.init(shapes, op.Input, nil)
	reader := Head{protocol: RestXML}
	if err := reader.readBody(d, match{svc: svc, op: op}, text); err != nil {
		return nil, err
	}
	bad := refusal.New(refusal.Malformed, "the form's field tagging is not <Tagging><TagSet><Tag><Key>K</Key><Value>V</Value></Tag>...</TagSet></Tagging>")
	doc, ok := d.object(0)["Tagging"].(map[string]any)
	set, listed := doc["TagSet"].([]any)
	if !ok || !listed || len(doc) != 1 {
		return nil, bad
	}
	var out tags
	for _, e := range set {
		tag, _ := e.(map[string]any)
		key, hasKey := tag["Key"].(string)
		value, hasValue := tag["Value"].(string)
		if !hasKey || !hasValue || key == "" || len(tag) != 2 {
			return nil, bad
		}
		out = append(out, pair{key: key, value: value})
	}
	return out, nil
}

// header is the tags as x-amz-tagging has them.
func (t tags) header() string {
	var parts []string
	for _, p := range t {
		parts = append(parts, percent(p.key)+"="+percent(p.value))
	}
	return strings.Join(parts, "&")
}

func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// document is the tags as a form upload has them.
func (t tags) document() string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for _, p := range t {
		b.WriteString("<Tag><Key>")
		_ = xml.EscapeText(&b, []byte(p.key)) // a Builder takes everything
		b.WriteString("</Key><Value>")
		_ = xml.EscapeText(&b, []byte(p.value))
		b.WriteString("</Value></Tag>")
	}
	b.WriteString("</TagSet></Tagging>")
	return b.String()
}
