package approvals

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

// What was read of the resources is told beside their ids and never in their place:
// who may tag may call anything "test".

// The tags and names that a headline has room for.
const (
	headlineTags  = 3
	headlineNames = 3
	maxTagShown   = 48 // characters of one tag in a headline
)

func (r *Request) described(arn string) *event.Described {
	if r.Enrichment == nil {
		return nil
	}
	for i := range r.Enrichment.Resources {
		if d := &r.Enrichment.Resources[i]; d.ARN == arn {
			return d
		}
	}
	return nil
}

// known is a resource in a headline: "web-1" ("i-0abc"), or "i-0abc" alone.
func (r *Request) known(arn string) string {
	if d := r.described(arn); d != nil && d.Name != "" {
		return terminal.Quote(d.Name, maxShort) + " (" + short(arn) + ")"
	}
	return short(arn)
}

// names are those of several resources in a headline, "" where none has one.
func (r *Request) names(of []event.Resource) string {
	var names []string
	for _, res := range of {
		if d := r.described(res.ARN); d != nil && d.Name != "" {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	out := list(names, headlineNames, func(s string) string { return terminal.Quote(s, maxTagShown) })
	if more := len(of) + r.ResourcesOmitted - len(names); more > 0 {
		out += fmt.Sprintf(", %d without a name", more)
	}
	return " (" + out + ")"
}

// tagged are the first tags of the one resource that a call is about, less those
// that AWS sets.
func (r *Request) tagged() string {
	if r.Enrichment == nil || len(r.Enrichment.Resources) != 1 || len(r.Resources) != 1 || r.ResourcesOmitted > 0 {
		return ""
	}
	var out []string
	for _, t := range r.Enrichment.Resources[0].Tags {
		if !strings.HasPrefix(t.Key, "aws:") && len(out) < headlineTags {
			out = append(out, terminal.Quote(t.Key+"="+t.Value, maxTagShown))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ", tags " + strings.Join(out, " ") + ","
}

// The names of facts about resources that the gateway read.
const (
	FactTags   = "Tags"
	FactUnread = "Not read"
)

// enrichment tells all that was read, and what was not.
func enrichment(r Request) []Fact {
	e := r.Enrichment.Bounded()
	if e == nil {
		return nil
	}
	var out []Fact
	for _, d := range e.Resources {
		text := short(d.ARN)
		if d.Name != "" {
			text += " is named " + terminal.Quote(d.Name, maxName)
		}
		tags := make([]string, 0, len(d.Tags))
		for _, t := range d.Tags {
			tags = append(tags, name(t.Key)+" = "+name(t.Value))
		}
		switch {
		case len(tags) > 0:
			text += ": " + strings.Join(tags, ", ")
		case d.Name == "":
			text += " has no tags"
		}
		if d.TagsOmitted > 0 {
			text += fmt.Sprintf(" and %d more tags that are not shown", d.TagsOmitted)
		}
		out = append(out, Fact{FactTags, text})
	}
	for _, n := range e.Notes {
		out = append(out, Fact{FactUnread, "names and tags could not be read: " + name(n)})
	}
	if e.Unread > 0 {
		out = append(out, Fact{FactUnread, fmt.Sprintf("names and tags of %d further resources", e.Unread)})
	}
	return out
}
