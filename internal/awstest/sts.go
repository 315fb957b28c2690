package awstest

import (
	"crypto/rand"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	roleName    = regexp.MustCompile(`^arn:aws:iam::(` + Account + `|` + ForeignAccount + `):role/([\w+=,.@/-]*/)?([\w+=,.@-]+)$`)
)

func (x *exchange) sts() error {
	form, err := url.ParseQuery(string(x.body))
	if err != nil {
		return fault(http.StatusBadRequest, "MalformedQueryString", "the body is no form")
	}
	if x.faults.STSDown {
		return http.ErrAbortHandler
	}
	if x.faults.STSUnavailable {
		return fault(http.StatusServiceUnavailable, "ServiceUnavailable", "Service is unavailable")
	}
	switch form.Get("Action") {
	case "GetCallerIdentity":
		x.rec.Action = "sts:GetCallerIdentity"
		return x.xml(http.StatusOK, struct {
			XMLName                   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
			GetCallerIdentityResult   struct{ Arn, UserId, Account string }
			ResponseMetadataRequestID string `xml:"ResponseMetadata>RequestId"`
		}{GetCallerIdentityResult: struct{ Arn, UserId, Account string }{x.key.ARN, x.key.ID, x.key.Account}, ResponseMetadataRequestID: "simulated"})
	case "AssumeRole":
		return x.assumeRole(form)
	case "AssumeRoleWithWebIdentity":
		return x.assumeRoleWithWebIdentity(form)
	}
	return fault(http.StatusBadRequest, "InvalidAction", "the simulated STS has no "+form.Get("Action"))
}

func (x *exchange) assumeRole(form url.Values) error {
	x.rec.Action, x.rec.Resource = "sts:AssumeRole", form.Get("RoleArn")
	if gate := x.faults.STSGate; gate != nil {
		select {
		case <-gate:
		case <-x.ctx.Done():
			return http.ErrAbortHandler
		}
	}
	if x.throttle() {
		return fault(http.StatusBadRequest, "Throttling", "Rate exceeded")
	}
	m := roleName.FindStringSubmatch(form.Get("RoleArn"))
	if m == nil || x.faults.STSDenied || !x.key.stsOnly || form.Get("ExternalId") != x.config.ExternalID {
		return fault(http.StatusForbidden, "AccessDenied", "User: "+x.key.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+form.Get("RoleArn"))
	}
	if err := limits(form); err != nil {
		return err
	}
	return x.issue(form, m)
}

// issue makes the credential of the role that m is the match of, and answers.
func (x *exchange) issue(form url.Values, m []string) error {
	var policy *Policy
	if text := form.Get("Policy"); text != "" {
		var err error
		if policy, err = ParsePolicy(text); err != nil {
			return fault(http.StatusBadRequest, "MalformedPolicyDocument", err.Error())
		}
	}
	seconds, _ := strconv.Atoi(form.Get("DurationSeconds"))
	expires := x.now().Add(time.Duration(seconds) * time.Second)
	if x.faults.StaleExpiration {
		expires = x.now().Add(-time.Hour)
	}
	account := m[1]
	if x.faults.WrongAccount {
		account = ForeignAccount
	}
	k := &Key{ID: "ASIA" + rand.Text()[:16], Secret: rand.Text() + rand.Text()[:14], Token: "SIMULATED" + rand.Text() + rand.Text(),
		Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + m[3] + "/" + form.Get("RoleSessionName"),
		Policy: form.Get("Policy"), Expires: expires, policy: policy}
	x.mu.Lock()
	x.keys[k.ID] = k
	x.mu.Unlock()
	type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
	type result struct {
		Credentials     credentials
		AssumedRoleUser struct{ Arn, AssumedRoleId string }
		SourceIdentity  string
	}
	r := result{Credentials: credentials{k.ID, k.Secret, k.Token, expires.UTC().Format(time.RFC3339)}, SourceIdentity: form.Get("SourceIdentity")}
	if x.faults.EmptyCredentials {
		r.Credentials.SecretAccessKey, r.Credentials.SessionToken = "", ""
	}
	r.AssumedRoleUser.Arn, r.AssumedRoleUser.AssumedRoleId = k.ARN, "AROASIMULATED:"+form.Get("RoleSessionName")
	if form.Get("Action") == "AssumeRoleWithWebIdentity" {
		return x.xml(http.StatusOK, struct {
			XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
			Result    result   `xml:"AssumeRoleWithWebIdentityResult"`
			RequestID string   `xml:"ResponseMetadata>RequestId"`
		}{Result: r, RequestID: "simulated"})
	}
	return x.xml(http.StatusOK, struct {
		XMLName          xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
		AssumeRoleResult result
		RequestID        string `xml:"ResponseMetadata>RequestId"`
	}{AssumeRoleResult: r, RequestID: "simulated"})
}

func (x *exchange) throttle() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.Server.faults.STSThrottle <= 0 {
		return false
	}
	x.Server.faults.STSThrottle--
	return true
}

// limits are those of the AssumeRole API reference.
func limits(form url.Values) error {
	seconds, err := strconv.Atoi(form.Get("DurationSeconds"))
	policy := form.Get("Policy")
	outside := strings.ContainsFunc(policy, func(r rune) bool { return (r < 0x20 && r != '\t' && r != '\n' && r != '\r') || r > 0xFF })
	source, hasSource := form["SourceIdentity"]
	switch {
	case !sessionName.MatchString(form.Get("RoleSessionName")):
		return fault(http.StatusBadRequest, "ValidationError", "Value at 'roleSessionName' failed to satisfy constraint: pattern [\\w+=,.@-]*, length 2 to 64")
	case hasSource && !sessionName.MatchString(source[0]):
		return fault(http.StatusBadRequest, "ValidationError", "Value at 'sourceIdentity' failed to satisfy constraint: pattern [\\w+=,.@-]*, length 2 to 64")
	case err != nil || seconds < 900 || seconds > 43200:
		return fault(http.StatusBadRequest, "ValidationError", "Value at 'durationSeconds' failed to satisfy constraint: 900 to 43200")
	case utf8.RuneCountInString(policy) > 2048:
		return fault(http.StatusBadRequest, "ValidationError", "Value at 'policy' failed to satisfy constraint: at most 2048 characters")
	case outside || !utf8.ValidString(policy):
		return fault(http.StatusBadRequest, "ValidationError", "Value at 'policy' failed to satisfy constraint: characters U+0009, U+000A, U+000D, U+0020 to U+00FF")
	}
	return nil
}
