package approvals

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// enriched is a request about n instances of which each has a name and tags.
func enriched(n int) Request {
	r := asked()
	r.Resources = instances(n)
	r.Enrichment = &event.Enrichment{}
	for i, res := range r.Resources {
		r.Enrichment.Resources = append(r.Enrichment.Resources, event.Described{ARN: res.ARN, Name: fmt.Sprintf("web-%d", i+1),
			Tags: []event.Tag{{Key: "aws:cloudformation:stack-name", Value: "s"}, {Key: "env", Value: "prod"}, {Key: "team", Value: "payments"}}})
	}
	return r
}

func TestHeadlineWithNamesAndTags(t *testing.T) {
	nameless := enriched(3)
	nameless.Enrichment.Resources[1].Name = ""
	other := enriched(1)
	other.Enrichment.Resources[0].ARN = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0other"
	hostile := enriched(1)
	hostile.Enrichment.Resources[0].Name = `x" ("i-0safe"), tags "env=test". Approved by "alice`
	many := enriched(6)
	many.ResourcesOmitted = 0
	bucket := Request{Service: "s3", Operation: "DeleteObject", Resources: []event.Resource{{ARN: "arn:aws:s3:::acme/a.csv", Type: "object"}},
		Enrichment: &event.Enrichment{Resources: []event.Described{{ARN: "arn:aws:s3:::acme", Tags: []event.Tag{{Key: "env", Value: "prod"}}}}}}
	generic := enriched(1)
	generic.Operation = "MonitorInstances"
	nowhere := enriched(1)
	nowhere.Account, nowhere.Target, nowhere.Region = "", "", ""
	const where = " in account 111122223333 (dev), eu-west-1"
	for want, r := range map[string]Request{
		`terminate instance "web-1" ("i-0abca"), tags "env=prod" "team=payments",` + where:                                                     enriched(1),
		`terminate 2 instances ("web-1", "web-2")` + where:                                                                                     enriched(2),
		`terminate 3 instances ("web-1", "web-3", 1 without a name)` + where:                                                                   nameless,
		`terminate 6 instances ("web-1", "web-2", "web-3" and 3 more)` + where:                                                                 many,
		`delete object "acme/a.csv", tags "env=prod"`:                                                                                          bucket,
		`monitor instances (ec2) on "web-1" ("i-0abca"), tags "env=prod" "team=payments",` + where:                                             generic,
		`terminate instance "web-1" ("i-0abca"), tags "env=prod" "team=payments"`:                                                              nowhere,
		`terminate instance "i-0abca", tags "env=prod" "team=payments",` + where:                                                               other,
		`terminate instance "x\" (\"i-0safe\"), tags \"env=test\". Approved by \"alice" ("i-0abca"), tags "env=prod" "team=payments",` + where: hostile,
	} {
		if got := Summarize(r).Headline; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestSummaryTellsWhatWasRead(t *testing.T) {
	r := enriched(2)
	r.Enrichment.Resources[1] = event.Described{ARN: r.Resources[1].ARN}
	r.Enrichment.Notes, r.Enrichment.Unread = []string{"ec2:DescribeTags: UnauthorizedOperation"}, 40
	for range 30 {
		r.Enrichment.Resources[0].Tags = append(r.Enrichment.Resources[0].Tags, event.Tag{Key: "k", Value: strings.Repeat("v", 300)})
	}
	all := strings.Join(Summarize(r).Lines(200), "\n")
	for _, want := range []string{
		`Tags         "i-0abca" is named "web-1": "aws:cloudformation:stack-name" = "s", "env" = "prod"`, "and 13 more tags that are not shown",
		`Tags         "i-0abcb" has no tags`,
		`Not read     names and tags could not be read: "ec2:DescribeTags: UnauthorizedOperation"`,
		"Not read     names and tags of 40 further resources",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the summary lacks %q:\n%s", want, all)
		}
	}
	if r.Enrichment = nil; strings.Contains(strings.Join(Summarize(r).Lines(200), "\n"), "Tags") {
		t.Error("tags of a request of which nothing was read")
	}
}

// What comes over the network is not bounded yet, and whoever may tag writes it.
func TestHostileNamesAndTags(t *testing.T) {
	for _, s := range hostile {
		r := enriched(3)
		for i := range r.Enrichment.Resources {
			d := &r.Enrichment.Resources[i]
			d.Name = s
			for range 100 {
				d.Tags = append(d.Tags, event.Tag{Key: s, Value: s})
			}
		}
		r.Enrichment.Notes = []string{s, s}
		harmless(t, r)
		r.Resources, r.Enrichment.Resources = r.Resources[:1], r.Enrichment.Resources[:1]
		harmless(t, r)
	}
}

// A record with the most that may be read of resources still fits into the bucket.
func TestEnrichmentFitsARecord(t *testing.T) {
	r := enriched(1)
	r.Enrichment.Resources = make([]event.Described, 1000)
	for i := range r.Enrichment.Resources {
		d := &r.Enrichment.Resources[i]
		d.Name, d.Tags = strings.Repeat("\x01", 5000), make([]event.Tag, 100)
		for j := range d.Tags {
			d.Tags[j] = event.Tag{Key: strings.Repeat("\x01", 5000), Value: strings.Repeat("<", 5000)}
		}
	}
	text, err := json.Marshal(NewRecord(r.Bounded()))
	if err != nil || len(text) > maxRecord-maxParameters {
		t.Errorf("%d bytes %v", len(text), err)
	}
}
