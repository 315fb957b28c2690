package index

import (
	"cmp"
	"strings"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// row is a row of calls.
type row struct {
	row                                                                int64
	id, session, issuer, subject, label, target, service, operation    string
	level, region, account, resource, result, err, approval, approvers string
	aws, key                                                           string
	time, ended                                                        int64 // ns since 1970; ended 0: not yet
	resources, rank, status, masked, risk                              int   // risk -1: not judged
	start, stop                                                        int64 // indexes of its first and last entry
	has                                                                []name
}

// The ranks of what says how a call ended; see recorder.Call.Result.
const (
	rankDecision = iota + 1
	rankRefused
	rankResponse
	rankAborted
)

func (c *row) end(rank int, result recorder.Result, err string, at int64) {
	if rank >= c.rank {
		c.rank, c.result, c.err, c.ended = rank, string(result), err, at
	}
}

func (c *row) add(e recorder.Entry) {
	c.stop = int64(e.Index)
	h := e.Event.Data.Head()
	at := h.EventTime.UnixNano()
	if c.time == 0 || at < c.time {
		c.time = at
	}
	if c.subject == "" {
		c.issuer, c.subject, c.label = h.UserIdentity.Issuer, h.UserIdentity.Subject, h.UserIdentity.Label
	}
	switch d := e.Event.Data.(type) {
	case *event.Request:
		c.operate(d.Operation)
		c.resources = len(d.Resources) + d.ResourcesOmitted
		for i, r := range d.Resources {
			if i == 0 {
				c.resource = r.ARN
			}
			c.has = append(c.has, name{kindResource, r.ARN})
		}
	case *event.Decision:
		c.decide(d, at)
	case *event.Credential:
		c.key = d.AccessKeyID
	case *event.Response:
		c.status, c.aws, c.masked = d.Status, d.AWSRequestID, len(d.Findings)+d.FindingsOmitted
		result := recorder.ResultOK
		if d.Status >= 400 {
			result = recorder.ResultError
		}
		c.end(rankResponse, result, d.ErrorCode, at)
	case *event.Aborted:
		c.end(rankAborted, recorder.ResultAborted, d.ErrorCode, at)
	case *event.Refused:
		c.operate(d.Operation)
		c.status = d.Status
		c.end(rankRefused, recorder.ResultRefused, d.ErrorCode, at)
	}
}

func (c *row) operate(o event.Operation) {
	c.target, c.service, c.operation, c.level, c.region, c.account = o.Target, o.Service, o.EventName, o.AccessLevel, o.AWSRegion, o.RecipientAccountID
	for _, a := range o.Actions {
		c.has = append(c.has, name{kindAction, a})
	}
}

func (c *row) decide(d *event.Decision, at int64) {
	if d.Risk != nil {
		c.risk = d.Risk.Score
	}
	c.approval = d.Approval
	var names []string
	for _, v := range d.Approvers {
		names = append(names, cmp.Or(v.Email, v.Subject))
	}
	c.approvers = strings.Join(names, ", ")
	switch {
	case d.Effect == "deny" && d.Approval != "":
		c.end(rankDecision, recorder.ResultRejected, d.ErrorCode, at)
	case d.Effect == "deny":
		c.end(rankDecision, recorder.ResultDenied, d.ErrorCode, at)
	case d.ErrorCode != "":
		c.end(rankDecision, recorder.ResultPending, d.ErrorCode, at)
	}
}
