package recorder_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// told is the story of events of one session; bodies are of no interest.
func told(t *testing.T, whole bool, events ...event.Event) string {
	t.Helper()
	var out bytes.Buffer
	s := &recorder.Session{ID: events[0].Session(), Events: events}
	var err error
	if whole {
		err = recorder.WriteStoryBodies(&out, s, func(string) ([]byte, error) { return nil, recorder.ErrGone })
	} else {
		err = recorder.WriteStory(&out, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// What was asked is told: masked as it is on record, in one line that no agent can break,
// and whole only with bodies.
func TestStoryOfParameters(t *testing.T) {
	x := exchange(ids.New())
	q, _ := x[0].Data.(*event.Request)
	q.RequestParameters = map[string]any{"TableName": "Customers <&>", "Key": map[string]any{"id": map[string]any{"S": "c-1001"}}}
	if text := told(t, false, x...); !strings.Contains(text, "\n  asked       {\"Key\":{\"id\":{\"S\":\"c-1001\"}},\"TableName\":\"Customers <&>\"}\n") {
		t.Error(text)
	}
	q.RequestParameters = map[string]any{"A": "\x1b[2J\n\u202e\u009b", "Z": strings.Repeat("x", 2000) + "end"}
	text, whole := told(t, false, x...), told(t, true, x...)
	if strings.ContainsAny(text+whole, "\x1b\u202e\u009b") {
		t.Error("a terminal would obey")
	}
	if strings.Contains(text, "end") || !strings.Contains(text, "bytes in all]") || !strings.Contains(whole, `xxend"}`+"\n") {
		t.Errorf("%s\n%s", text, whole)
	}
	q.RequestParameters, q.RequestParametersOmitted = nil, &event.Digest{Size: 300_000, SHA256: "ab"}
	if text := told(t, false, x...); !strings.Contains(text, "\n  asked       300000 bytes, sha256 ab\n") {
		t.Error(text)
	}
	q.RequestParametersOmitted = nil
	if text := told(t, false, x...); strings.Contains(text, "  asked  ") {
		t.Error(text)
	}
}

// Of what was refused only that is told which is known.
func TestStoryOfRefusals(t *testing.T) {
	for want, d := range map[string]*event.Refused{
		"approval: no (POST ec2.amazonaws.com/x)": {Method: "POST", Host: "ec2.amazonaws.com", Path: "/x"},
		"approval: no (s3.amazonaws.com)":         {Host: "s3.amazonaws.com"},
		"approval: no (/x)":                       {Path: "/x"},
		"approval: no":                            {},
	} {
		d.RequestID, d.ErrorCode, d.ErrorMessage = ids.New(), "approval", "no"
		if text := told(t, false, event.Event{ID: ids.New(), Source: "s", Data: d}); !strings.Contains(text, "\n  refused     "+want+"\n") {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
}

// A call that ran under a grant says so wherever its decision is told: the rule asked, and
// let nothing through.
func TestDecisionUnderAGrant(t *testing.T) {
	e := event.Event{ID: ids.New(), Source: "s", Data: &event.Decision{Common: event.Common{RequestID: ids.New()},
		Effect: "allow", Rules: []string{"writes-ask"}, Approval: "01A\x1b", Grant: &event.GrantLeft{Left: 1}}}
	var out bytes.Buffer
	if err := recorder.WriteLine(&out, e); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{out.String(), told(t, false, e)} {
		if !strings.HasSuffix(text, `allow by writes-ask, approval 01A\x1b, under its grant: 1 left`+"\n") {
			t.Errorf("%q", text)
		}
	}
}
