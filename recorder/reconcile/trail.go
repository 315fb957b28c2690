package reconcile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Trail is one event of CloudTrail's, of the members that matter here.
type Trail struct {
	EventID      string    `json:"eventID"`
	SharedID     string    `json:"sharedEventID,omitempty"` // one for the copies that several accounts get
	EventTime    time.Time `json:"eventTime"`
	EventSource  string    `json:"eventSource"` // ec2.amazonaws.com
	EventName    string    `json:"eventName"`
	EventType    string    `json:"eventType"`     // AwsApiCall, AwsServiceEvent, ...
	Category     string    `json:"eventCategory"` // Management, Data, Insight, NetworkActivity
	Region       string    `json:"awsRegion"`
	Account      string    `json:"recipientAccountId"`
	RequestID    string    `json:"requestID"`
	ErrorCode    string    `json:"errorCode"`
	SourceIP     string    `json:"sourceIPAddress"`
	UserAgent    string    `json:"userAgent"`
	UserIdentity struct {
		Type           string `json:"type"`
		ARN            string `json:"arn"`
		AccessKeyID    string `json:"accessKeyId"`
		InvokedBy      string `json:"invokedBy"` // a service that acts with the caller's leave
		SessionContext struct {
			SessionIssuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
			SourceIdentity string `json:"sourceIdentity"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
	RequestParameters struct {
		RoleARN         string `json:"roleArn"`
		RoleSessionName string `json:"roleSessionName"`
	} `json:"-"`
	IssuedKeyID string `json:"-"` // responseElements.credentials.accessKeyId
}

// maxTrail is the most bytes of one CloudTrail event, which AWS holds below 256 KiB,
// and of what surrounds it in the answer of LookupEvents.
const maxTrail = 4 << 20

// UnmarshalJSON reads the members that only some operations fill in another way.
func (t *Trail) UnmarshalJSON(b []byte) error {
	type plain Trail
	if err := json.Unmarshal(b, (*plain)(t)); err != nil {
		return errors.New("a member has another type than CloudTrail's")
	}
	if !strings.HasPrefix(t.EventName, "AssumeRole") {
		return nil
	}
	// The parameters of other operations are anything at all.
	var sts struct {
		RequestParameters json.RawMessage `json:"requestParameters"`
		ResponseElements  struct {
			Credentials struct {
				AccessKeyID string `json:"accessKeyId"`
			} `json:"credentials"`
		} `json:"responseElements"`
	}
	if err := json.Unmarshal(b, &sts); err != nil {
		return errors.New("an AssumeRole event has other members than CloudTrail's")
	}
	t.IssuedKeyID = sts.ResponseElements.Credentials.AccessKeyID
	if len(sts.RequestParameters) > 0 {
		if err := json.Unmarshal(sts.RequestParameters, &t.RequestParameters); err != nil {
			return errors.New("the parameters of an AssumeRole event are not CloudTrail's")
		}
	}
	return nil
}

// ReadTrail calls fn for each event of a CloudTrail log file: {"Records": [...]},
// the answer of LookupEvents {"Events": [{"CloudTrailEvent": "..."}]}, or one event a
// line (as CloudTrail Lake and most pipelines export them), plain or gzipped. It
// holds one event at a time. A damaged event is told to bad and left out; an error is
// a file that is none of these, or that breaks off.
func ReadTrail(r io.Reader, fn func(Trail), bad func(error)) error {
	br := bufio.NewReader(r)
	if head, _ := br.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(br)
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		br = bufio.NewReader(z)
	}
	lim := &limited{r: br}
	dec := json.NewDecoder(lim)
	one := func(raw json.RawMessage) {
		var t Trail
		if err := json.Unmarshal(raw, &t); err != nil {
			bad(err)
			return
		}
		if t.EventName == "" || t.EventSource == "" || t.EventTime.IsZero() {
			bad(errors.New("an event has no eventName, eventSource or eventTime"))
			return
		}
		fn(t)
	}
	for first := true; ; first = false {
		lim.left = maxTrail
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && !first {
			return nil
		}
		if err != nil || tok != json.Delim('{') {
			return malformed(err, "it is not JSON of CloudTrail's: give log files as CloudTrail writes them, the answer of lookup-events, or one event a line")
		}
		if err := readObject(dec, lim, one, bad); err != nil {
			return err
		}
	}
}

// readObject reads an object whose brace is read already: a list of events, or one.
func readObject(dec *json.Decoder, lim *limited, one func(json.RawMessage), bad func(error)) error {
	event := map[string]json.RawMessage{}
	lists := 0
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return malformed(err, "it breaks off")
		}
		name, _ := tok.(string)
		if name != "Records" && name != "Events" {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return malformed(err, "it breaks off")
			}
			event[name] = raw
			continue
		}
		if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
			return malformed(err, name+" is not a list")
		}
		lists++
		for dec.More() {
			lim.left = maxTrail
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return malformed(err, "it breaks off")
			}
			if name == "Events" {
				var found struct{ CloudTrailEvent string }
				if err := json.Unmarshal(raw, &found); err != nil || found.CloudTrailEvent == "" {
					bad(errors.New("an entry of Events has no CloudTrailEvent"))
					continue
				}
				raw = json.RawMessage(found.CloudTrailEvent)
			}
			one(raw)
		}
		if _, err := dec.Token(); err != nil {
			return malformed(err, "it breaks off")
		}
	}
	if _, err := dec.Token(); err != nil {
		return malformed(err, "it breaks off")
	}
	switch {
	case lists > 0:
	case event["eventName"] != nil:
		raw, err := json.Marshal(event)
		if err != nil {
			return err
		}
		one(raw)
	default:
		bad(errors.New("an object is neither an event nor a list of them (digest files have none)"))
	}
	return nil
}

func malformed(err error, what string) error {
	if errors.Is(err, errLong) {
		return err
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New(what)
	}
	var syntax *json.SyntaxError // its text quotes a character of the input at most
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s (at byte %d)", what, syntax.Offset)
	}
	return fmt.Errorf("%s: %w", what, err)
}

var errLong = fmt.Errorf("one event is longer than %d bytes", maxTrail)

// limited bounds what one event may make the decoder hold.
type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
