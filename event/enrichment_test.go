package event

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Bounds keep what is within them, count what is not, and hold twice as once.
func TestEnrichmentIsBounded(t *testing.T) {
	small := &Enrichment{Resources: []Described{{ARN: "a", Name: "n", Tags: []Tag{{"k", "v"}, {"k2", ""}}}}, Unread: 3, Notes: []string{"why"}}
	if got := small.Bounded(); !reflect.DeepEqual(got, small) {
		t.Errorf("%+v", got)
	}
	if (*Enrichment)(nil).Bounded() != nil {
		t.Error("something out of nothing")
	}
	for _, text := range []string{strings.Repeat("x", 5000), strings.Repeat("日", 5000), strings.Repeat("\xff", 5000), "short"} {
		large := &Enrichment{Unread: 1, Resources: make([]Described, 37), Notes: make([]string, 99)}
		for i := range large.Resources {
			d := &large.Resources[i]
			d.ARN, d.Name, d.TagsOmitted, d.Tags = text, text, 2, make([]Tag, 53)
			for j := range d.Tags {
				d.Tags[j] = Tag{text, text}
			}
		}
		large.Notes[0] = text
		got := large.Bounded()
		bytes := 0
		count := func(s string, most int) {
			if bytes += len(s); utf8.RuneCountInString(s) > most || !utf8.ValidString(s) {
				t.Errorf("%d characters", utf8.RuneCountInString(s))
			}
		}
		for _, d := range got.Resources {
			count(d.ARN, MaxText)
			count(d.Name, MaxTagText)
			for _, tag := range d.Tags {
				count(tag.Key, MaxTagText)
				count(tag.Value, MaxTagText)
			}
			if len(d.Tags) > MaxTags || len(d.Tags)+d.TagsOmitted != 53+2 {
				t.Errorf("%d tags and %d more", len(d.Tags), d.TagsOmitted)
			}
		}
		if bytes > maxEnriched || len(got.Resources) > MaxDescribed || len(got.Resources)+got.Unread != 38 || len(got.Notes) > maxNotes || utf8.RuneCountInString(got.Notes[0]) > MaxTagText {
			t.Errorf("%d bytes, %d resources and %d more, %d notes", bytes, len(got.Resources), got.Unread, len(got.Notes))
		}
		if again := got.Bounded(); !reflect.DeepEqual(again, got) {
			t.Error("bounds do not hold what they have bounded")
		}
	}
}

// An exchange that is no id is no exchange.
func TestEnrichesIsAnID(t *testing.T) {
	ids := NewIDs(nil)
	e := Event{ID: ids.New(), Source: "s", Time: time.Now(), Data: &Request{Common: Common{RequestID: ids.New(), SessionID: ids.New(), Enriches: "x"}}}
	if _, err := Encode(e); err == nil {
		t.Error("an event enriches an exchange that is none")
	}
}
