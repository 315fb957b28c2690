package jit

import (
	"errors"
	"net/http"
	"strings"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sallyport/sallyport/refusal"
)

func baseError(err error) *refusal.Error {
	return refusal.Wrap(refusal.Credentials, err, "the gateway has no AWS identity of its own; the operator must give it one (aws.base_profile, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of its instance, task or pod)")
}

func throttled(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestLimitExceeded", "TooManyRequestsException":
		return true
	}
	return false
}

// mend says what the operator has to do about an error of AssumeRole.
var mend = map[string]string{
	"AccessDenied":            "its trust policy must allow the gateway's identity sts:AssumeRole and sts:SetSourceIdentity (with the external id, if it asks for one), and the gateway's identity needs both for this role",
	"ExpiredToken":            "the gateway's own AWS credentials have expired; renew them (aws sso login, or a new key)",
	"InvalidClientTokenId":    "the gateway's own access key is not known to AWS; check aws.base_profile",
	"SignatureDoesNotMatch":   "the gateway's own secret key is wrong, or its clock is; check aws.base_profile",
	"RequestExpired":          "the gateway's clock is wrong",
	"RegionDisabledException": "STS is not active in this region for the account; activate it or put another region first in the target's regions",
	"PackedPolicyTooLarge":    "the session policy is too large for STS; the call must name fewer resources",
	"MalformedPolicyDocument": "STS did not take the session policy; this is a fault of the gateway, please report it with the request id",
	"ValidationError":         "STS did not take the request; check the target's role_arn and external_id",
}

// bareCode is the error code without Exception, with which some come.
func bareCode(api smithy.APIError) string { return strings.TrimSuffix(api.ErrorCode(), "Exception") }

// explain turns an error of AssumeRole into a refusal. The SDK's text, which
// names the gateway's own identity, goes to the log and not to the agent.
func explain(err error, t Target, region string) *refusal.Error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return refusal.Wrap(refusal.Unavailable, err, "STS in %s could not be reached in time; nothing was sent to AWS, try again later", region)
	}
	if throttled(err) {
		return refusal.Wrap(refusal.Unavailable, err, "STS in %s throttles the gateway; nothing was sent to AWS, try again in some seconds", region)
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.HTTPStatusCode() >= http.StatusInternalServerError {
		return refusal.Wrap(refusal.Unavailable, err, "STS in %s has a fault of its own (HTTP %d); nothing was sent to AWS, try again later", region, resp.HTTPStatusCode())
	}
	code := api.ErrorCode()
	how, ok := mend[bareCode(api)]
	if !ok {
		return refusal.Wrap(refusal.Credentials, err, "STS refused the credential for role %s; the operator finds its reason in the gateway's log", t.RoleARN)
	}
	return refusal.Wrap(refusal.Credentials, err, "STS refused the credential for role %s (%s); for the operator: %s", t.RoleARN, code, how)
}
