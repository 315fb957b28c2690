package export

import (
	"cmp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// ocsfVersion is the version of the schema whose API Activity class this is.
const ocsfVersion = "1.8.0"

const (
	ocsfClass    = 6003
	ocsfCategory = 6
)

// ocsf is a call as an API Activity.
func ocsf(c *recorder.Call, version string) ocsfEvent {
	h, o, result := c.Head(), c.Operation(), c.Result()
	activity, activityName := ocsfActivity(o)
	errorCode, errorMessage := c.Error()
	e := ocsfEvent{
		Metadata: ocsfMetadata{
			Version: ocsfVersion, Product: ocsfProduct{Name: "Sallyport", VendorName: "Sallyport", Version: version}, CorrelationUID: c.Session,
			OriginalTime: h.EventTime.UTC().Format(time.RFC3339Nano), LogName: "sessions", LogProvider: c.Source, Profiles: []string{"cloud", "security_control"},
		},
		CategoryUID: ocsfCategory, CategoryName: "Application Activity", ClassUID: ocsfClass, ClassName: "API Activity",
		ActivityID: activity, ActivityName: activityName, TypeUID: ocsfClass*100 + activity, TypeName: "API Activity: " + activityName,
		Time: h.EventTime.UnixMilli(), StatusCode: errorCode, StatusDetail: errorMessage,
		Actor: ocsfActor{User: ocsfUser{UID: h.UserIdentity.Subject, Name: cmp.Or(h.UserIdentity.Subject, "unknown"), TypeID: 4, Type: "Service"}},
		API:   ocsfAPI{Operation: cmp.Or(o.EventName, "unknown"), Request: ocsfEntity{UID: c.ID}},
		Cloud: ocsfCloud{Provider: "AWS", Region: o.AWSRegion},
		Unmapped: ocsfUnmapped{
			Result: string(result), Label: h.UserIdentity.Label, Target: o.Target, Actions: o.Actions, AccessLevel: o.AccessLevel, Masked: c.Masked(),
		},
	}
	if len(c.EventIDs) > 0 {
		e.Metadata.UID = c.EventIDs[0]
	}
	e.StatusID, e.Status = ocsfStatus(result)
	e.ActionID, e.Action, e.DispositionID, e.Disposition = ocsfAction(c, result)
	for _, g := range h.UserIdentity.Groups {
		e.Actor.User.Groups = append(e.Actor.User.Groups, ocsfEntity{Name: g})
	}
	if c.Session != "" {
		e.Actor.Session = &ocsfSession{UID: c.Session, Issuer: h.UserIdentity.Issuer}
	}
	if h.UserIdentity.Issuer != "" {
		e.Actor.IDP = &ocsfEntity{UID: h.UserIdentity.Issuer, Name: h.UserIdentity.Issuer}
	}
	if o.EventSource != "" {
		e.API.Service = &ocsfEntity{Name: o.EventSource, UID: o.Service}
	}
	if status := c.Status(); status != 0 {
		e.API.Response = &ocsfResponse{Code: status, Error: errorCode, ErrorMessage: errorMessage}
		e.HTTPResponse = &ocsfHTTPResponse{Code: status}
	} else if errorCode != "" {
		e.API.Response = &ocsfResponse{Error: errorCode, ErrorMessage: errorMessage}
	}
	if e.SrcEndpoint.IP = h.SourceIPAddress; e.SrcEndpoint.IP == "" {
		e.SrcEndpoint.Name = "unknown"
	}
	if o.RecipientAccountID != "" {
		e.Cloud.Account = &ocsfAccount{UID: o.RecipientAccountID, TypeID: 10, Type: "AWS Account"}
	}
	ocsfRequest(&e, c, h)
	ocsfDecision(&e, c)
	e.SeverityID, e.Severity = ocsfSeverity(e.RiskScore, result)
	e.IsAlert = e.Unmapped.RealKeySeen || e.SeverityID >= 4
	e.Message = message(c)
	return e
}

// ocsfRequest is what the request, or the refusal in its place, knows.
func ocsfRequest(e *ocsfEvent, c *recorder.Call, h *event.Common) {
	var host, path, method string
	switch {
	case c.Request != nil:
		r := c.Request
		host, path, method = r.Host, r.Path, r.Method
		for _, res := range r.Resources {
			e.Resources = append(e.Resources, ocsfResource{UID: res.ARN, Type: res.Type, Region: r.AWSRegion})
		}
		e.Unmapped.Digest, e.Unmapped.Parameters, e.Unmapped.RequestBody, e.Unmapped.RealKeySeen = r.Digest, r.RequestParameters, r.RequestBody, r.RealKeySeen
	case c.Refused != nil:
		host, path, method = c.Refused.Host, c.Refused.Path, c.Refused.Method
		e.Unmapped.RealKeySeen = c.Refused.RealKeySeen
	}
	if host != "" {
		e.DstEndpoint = &ocsfEndpoint{Hostname: host}
	}
	if host+method+h.UserAgent == "" {
		return
	}
	e.HTTPRequest = &ocsfHTTPRequest{Method: method, UserAgent: h.UserAgent}
	if host != "" {
		e.HTTPRequest.URL = &ocsfURL{Scheme: "https", Hostname: host, Path: cmp.Or(path, "/")}
	}
}

// ocsfDecision is what policy and people said, and what was minted.
func ocsfDecision(e *ocsfEvent, c *recorder.Call) {
	if d := c.Decision; d != nil {
		for _, rule := range d.Rules {
			e.Authorizations = append(e.Authorizations, ocsfAuthorization{Decision: d.Effect, Policy: ocsfPolicy{Name: rule, Version: d.PolicyVersion, IsApplied: true}})
		}
		if d.Risk != nil {
			score := d.Risk.Score
			e.RiskScore, e.Unmapped.RiskReasons = &score, d.Risk.Reasons
		}
		e.Unmapped.Approval, e.Unmapped.Approvers = d.Approval, d.Approvers
	}
	if c.Outcome != nil && len(e.Unmapped.Approvers) == 0 {
		e.Unmapped.Approval, e.Unmapped.Approvers = c.Outcome.Approval, c.Outcome.Approvers
	}
	if c.Credential != nil {
		e.Actor.User.CredentialUID, e.Unmapped.RoleARN = c.Credential.AccessKeyID, c.Credential.RoleARN
	}
	if c.Response != nil {
		e.Unmapped.AWSRequestID, e.Unmapped.ResponseBody = c.Response.AWSRequestID, c.Response.ResponseBody
		if c.Response.RequestBody != nil {
			e.Unmapped.RequestBody = c.Response.RequestBody
		}
	}
}

// ocsfActivity is the CRUD activity of an operation, by its access level and, where
// it writes, its verb.
func ocsfActivity(o event.Operation) (int, string) {
	switch o.AccessLevel {
	case "Read", "List":
		return 2, "Read"
	case "":
		return 0, "Unknown"
	}
	for _, v := range []struct {
		verbs string
		id    int
		name  string
	}{
		{"Create Run Put Register Allocate Import Upload Start Publish Send Request", 1, "Create"},
		{"Delete Terminate Remove Deregister Release Purge Revoke Detach Disassociate", 4, "Delete"},
	} {
		for verb := range strings.FieldsSeq(v.verbs) {
			if strings.HasPrefix(o.EventName, verb) {
				return v.id, v.name
			}
		}
	}
	return 3, "Update"
}

func ocsfStatus(r recorder.Result) (int, string) {
	switch r {
	case recorder.ResultOK:
		return 1, "Success"
	case recorder.ResultOpen:
		return 0, "Unknown"
	case recorder.ResultPending:
		return 99, "Pending"
	}
	return 2, "Failure"
}

// ocsfAction is what the gateway did: the action and the disposition.
func ocsfAction(c *recorder.Call, r recorder.Result) (int, string, int, string) {
	switch r {
	case recorder.ResultDenied, recorder.ResultRefused:
		return 2, "Denied", 2, "Blocked"
	case recorder.ResultRejected:
		return 2, "Denied", 25, "Rejected"
	case recorder.ResultPending:
		return 2, "Denied", 14, "Delayed"
	case recorder.ResultAborted:
		if c.Credential == nil {
			return 2, "Denied", 6, "Dropped"
		}
		return 1, "Allowed", 6, "Dropped"
	case recorder.ResultOpen:
		return 0, "Unknown", 0, "Unknown"
	}
	if c.Masked() > 0 {
		return 4, "Modified", 11, "Corrected"
	}
	return 1, "Allowed", 1, "Allowed"
}

// ocsfSeverity is by the risk that the gateway saw. What was stopped is no worse than
// what went through.
func ocsfSeverity(risk *int, r recorder.Result) (int, string) {
	score := 0
	if risk != nil {
		score = *risk
	}
	switch {
	case score >= 95:
		return 5, "Critical"
	case score >= 80:
		return 4, "High"
	case score >= 60 || r == recorder.ResultDenied || r == recorder.ResultRejected:
		return 3, "Medium"
	case score >= 30 || r != recorder.ResultOK:
		return 2, "Low"
	}
	return 1, "Informational"
}

// message is one sentence about a call.
func message(c *recorder.Call) string {
	h, o := c.Head(), c.Operation()
	who := cmp.Or(h.UserIdentity.Subject, "somebody without an identity")
	what := "a request"
	if o.EventName != "" {
		what = o.Service + ":" + o.EventName
	}
	on := ""
	if c.Request != nil && len(c.Request.Resources) > 0 {
		on = " on " + c.Request.Resources[0].ARN
		if n := len(c.Request.Resources) + c.Request.ResourcesOmitted - 1; n > 0 {
			on += " and others"
		}
	}
	end := map[recorder.Result]string{
		recorder.ResultOK: "done", recorder.ResultError: "AWS answered with an error", recorder.ResultDenied: "denied by policy", recorder.ResultRejected: "denied by people",
		recorder.ResultPending: "waits for people", recorder.ResultRefused: "refused", recorder.ResultAborted: "broken off", recorder.ResultOpen: "its end is not on record",
	}[c.Result()]
	if by := c.Approvers(); by != "" {
		end += ", approved by " + by
	}
	return who + " asked for " + what + on + ": " + end
}
