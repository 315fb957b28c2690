package event

import "unicode/utf8"

// The limits of an Enrichment: enough to know a thing by, and no more than people read.
const (
	MaxDescribed = 10  // resources
	MaxTags      = 20  // of one resource
	MaxTagText   = 256 // characters of a tag's key, of its value, and of a name
	maxNotes     = 2 * MaxDescribed
	maxEnriched  = 64 << 10 // bytes of all texts together, which JSON may write six times as long
)

// Enrichment is what the gateway read of a call's resources before it asked people.
// The texts are whoever's who may tag in the account.
type Enrichment struct {
	Resources []Described `json:"resources,omitempty"`
	Unread    int         `json:"unread,omitempty"` // further resources, of which nothing was asked
	Notes     []string    `json:"notes,omitempty"`  // what could not be read, and why
}

// Described is one resource with what was read of it.
type Described struct {
	ARN         string `json:"ARN"`            // of an S3 object, its bucket's
	Name        string `json:"name,omitempty"` // the value of its tag Name
	Tags        []Tag  `json:"tags,omitempty"` // the others
	TagsOmitted int    `json:"tagsOmitted,omitempty"`
}

// Tag is a tag of AWS's.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Bounded is e within the limits above, with what is left out counted; nil stays nil.
func (e *Enrichment) Bounded() *Enrichment {
	if e == nil {
		return nil
	}
	out, room := &Enrichment{Unread: e.Unread}, maxEnriched
	fits := func(n int) bool {
		if n > room {
			return false
		}
		room -= n
		return true
	}
	for i, d := range e.Resources {
		n := Described{ARN: clean(d.ARN), Name: tagText(d.Name), TagsOmitted: d.TagsOmitted}
		if i == MaxDescribed || !fits(len(n.ARN)+len(n.Name)) {
			out.Unread += len(e.Resources) - i
			break
		}
		for i, t := range d.Tags {
			t = Tag{Key: tagText(t.Key), Value: tagText(t.Value)}
			if i == MaxTags || !fits(len(t.Key)+len(t.Value)) {
				n.TagsOmitted += len(d.Tags) - i
				break
			}
			n.Tags = append(n.Tags, t)
		}
		out.Resources = append(out.Resources, n)
	}
	for _, s := range e.Notes[:min(len(e.Notes), maxNotes)] {
		out.Notes = append(out.Notes, tagText(s))
	}
	return out
}

func tagText(s string) string {
	s = clean(s)
	if utf8.RuneCountInString(s) <= MaxTagText {
		return s
	}
	const mark = "…[cut]"
	runes := []rune(s)
	return string(runes[:MaxTagText-utf8.RuneCountInString(mark)]) + mark
}
