package event

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of one event. What is beyond is left out and says so, with size
// and digest: a record that was cut silently would prove less than it seems to.
const (
	MaxText      = 16 << 10 // bytes of one text
	MaxResources = 256
	MaxFindings  = 1000
	maxList      = 1000 // other lists of texts: groups, rules, masks
	maxDepth     = 32   // of request parameters
)

// clean makes a text valid UTF-8 (U+FFFD for each run of other bytes) of at most
// MaxText bytes. Control characters stay: JSON escapes them, and whoever shows
// the text on a terminal must.
func clean(s string) string {
	if len(s) > MaxText {
		sum := sha256.Sum256([]byte(s))
		cut := MaxText - 128 // room for the marker
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = fmt.Sprintf("%s…[cut: %d bytes in all, sha256 %s]", s[:cut], len(s), hex.EncodeToString(sum[:]))
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func cleanAll(in []string) []string {
	if in == nil {
		return nil
	}
	more := len(in) - maxList
	in = in[:min(len(in), maxList)]
	out := make([]string, len(in), len(in)+1)
	for i, s := range in {
		out[i] = clean(s)
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("…[cut: %d more]", more))
	}
	return out
}

// cleanValue copies a JSON-like value, with every text cleaned. Bytes become
// base64 as in AWS's own JSON; numbers that JSON cannot write become text.
func cleanValue(v any, depth int) any {
	if depth > maxDepth {
		return fmt.Sprintf("…[cut: deeper than %d levels]", maxDepth)
	}
	switch v := v.(type) {
	case nil, bool, int, int32, int64, uint, uint32, uint64:
		return v
	case string:
		return clean(v)
	case []byte:
		return clean(base64.StdEncoding.EncodeToString(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return v
	case json.Number:
		if !json.Valid([]byte(v)) || len(v) > 64 {
			return clean(string(v))
		}
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []string:
		return cleanAll(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cleanValue(v[i], depth+1)
		}
		return out
	case map[string]string:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[clean(k)] = clean(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[clean(k)] = cleanValue(x, depth+1)
		}
		return out
	}
	// Any other type: by the JSON that it makes of itself, which is checked
	// again; what makes none is named by its type and never printed.
	if b, err := json.Marshal(v); err == nil {
		var again any
		if json.Unmarshal(b, &again) == nil {
			return cleanValue(again, depth+1)
		}
	}
	return fmt.Sprintf("…[%T]", v)
}

func (c *Common) clean() {
	c.EventTime = c.EventTime.UTC()
	c.UserIdentity = UserIdentity{
		Issuer: clean(c.UserIdentity.Issuer), Subject: clean(c.UserIdentity.Subject),
		Groups: cleanAll(c.UserIdentity.Groups), Label: clean(c.UserIdentity.Label),
	}
	c.SourceIPAddress, c.UserAgent, c.Enriches = clean(c.SourceIPAddress), clean(c.UserAgent), clean(c.Enriches)
}

func (o *Operation) clean() {
	for _, s := range []*string{&o.EventSource, &o.EventName, &o.AWSRegion, &o.RecipientAccountID, &o.Service, &o.AccessLevel, &o.Target} {
		*s = clean(*s)
	}
	o.Actions = cleanAll(o.Actions)
}

// cleaned returns a copy of d that is safe to encode; d itself stays as it is.
func cleaned(d Data) Data {
	switch d := d.(type) {
	case *SessionOpened:
		c := *d
		c.Common.clean()
		c.TokenID, c.Expires = clean(c.TokenID), c.Expires.UTC()
		return &c
	case *SessionClosed:
		c := *d
		c.Common.clean()
		c.Reason = clean(c.Reason)
		return &c
	case *Request:
		return cleanedRequest(d)
	case *Decision:
		c := *d
		c.Common.clean()
		c.Operation.clean()
		c.Effect, c.PolicyVersion = clean(c.Effect), clean(c.PolicyVersion)
		c.ErrorCode, c.ErrorMessage = clean(c.ErrorCode), clean(c.ErrorMessage)
		c.Approval, c.Approvers = clean(c.Approval), cleanVotes(d.Approvers)
		c.Rules, c.Mask, c.Unmask = cleanAll(c.Rules), cleanAll(c.Mask), cleanAll(c.Unmask)
		if d.Grant != nil {
			c.Grant = &GrantLeft{Left: d.Grant.Left, Until: d.Grant.Until.UTC()}
		}
		return &c
	case interface{ cleaned() Data }:
		return d.cleaned()
	case *Credential:
		c := *d
		c.Common.clean()
		for _, s := range []*string{&c.Target, &c.RoleARN, &c.RoleSessionName, &c.SessionPolicy, &c.AccessKeyID} {
			*s = clean(*s)
		}
		c.Expires = c.Expires.UTC()
		return &c
	case *Response:
		return cleanedResponse(d)
	case *Aborted:
		c := *d
		c.Common.clean()
		c.Operation.clean()
		c.Stage, c.ErrorCode, c.ErrorMessage = clean(c.Stage), clean(c.ErrorCode), clean(c.ErrorMessage)
		c.RequestBodyRecorded, c.ResponseBodyRecorded = d.RequestBodyRecorded.cleaned(), d.ResponseBodyRecorded.cleaned()
		return &c
	case *Refused:
		c := *d
		c.Common.clean()
		c.Operation.clean()
		for _, s := range []*string{&c.Method, &c.Host, &c.Path, &c.ErrorCode, &c.ErrorMessage} {
			*s = clean(*s)
		}
		return &c
	}
	return nil
}

func cleanedRequest(d *Request) Data {
	c := *d
	c.Common.clean()
	c.Operation.clean()
	for _, s := range []*string{&c.Protocol, &c.Method, &c.Host, &c.Path, &c.Digest} {
		*s = clean(*s)
	}
	if d.RequestParameters != nil {
		c.RequestParameters, _ = cleanValue(d.RequestParameters, 0).(map[string]any)
	}
	c.Resources, c.ResourcesOmitted = cleanResources(d.Resources, d.ResourcesOmitted)
	c.RequestBodyRecorded = d.RequestBodyRecorded.cleaned()
	return &c
}

func cleanedResponse(d *Response) Data {
	c := *d
	c.Common.clean()
	c.Operation.clean()
	c.AWSRequestID, c.ErrorCode, c.ErrorMessage = clean(c.AWSRequestID), clean(c.ErrorCode), clean(c.ErrorMessage)
	c.RequestBodyRecorded, c.ResponseBodyRecorded = d.RequestBodyRecorded.cleaned(), d.ResponseBodyRecorded.cleaned()
	n := min(len(d.Findings), MaxFindings)
	c.FindingsOmitted += len(d.Findings) - n
	c.Findings = make([]Finding, n)
	for i, f := range d.Findings[:n] {
		c.Findings[i] = Finding{Path: clean(f.Path), Source: clean(f.Source), Rule: clean(f.Rule), Count: f.Count}
	}
	return &c
}
