package jit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sallyport/sallyport/refusal"
)

// mintWebIdentity calls AssumeRoleWithWebIdentity with the agent's token. The call
// is unsigned (STS API reference), and the API has no SourceIdentity or external
// id: RoleSessionName joins CloudTrail to our record, and the role's trust policy
// limits who may come by the token's own claims.
func (m *Minter) mintWebIdentity(ctx context.Context, r Request, want role, policy Policy) (*Credential, error) {
	if r.WebIdentityToken.IsZero() {
		return nil, refusal.New(refusal.Credentials, "target %s takes the agent's own token to STS, and this request has none", r.Target.Name)
	}
	in := &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(r.Target.RoleARN), RoleSessionName: aws.String("sp-" + r.SessionID + "-" + r.RequestID + "-" + suffix()),
		WebIdentityToken: aws.String(r.WebIdentityToken.Reveal()), DurationSeconds: aws.Int32(int32(duration / time.Second)), Policy: aws.String(policy.Text),
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	region := stsRegion(r.Call, r.Target, want.partition)
	inRegion := func(o *sts.Options) { o.Region = region }
	out, err := m.client.AssumeRoleWithWebIdentity(ctx, in, inRegion)
	if throttled(err) {
		m.log.WarnContext(ctx, "STS throttles AssumeRoleWithWebIdentity", "region", region)
		if m.pause(ctx) == nil {
			out, err = m.client.AssumeRoleWithWebIdentity(ctx, in, inRegion)
		}
	}
	if err != nil {
		return nil, explainWebIdentity(err, r.Target, region)
	}
	return m.accept(out.Credentials, out.AssumedRoleUser, r.Target, want, *in.RoleSessionName, policy)
}

// mendWebIdentity says what is wrong where STS refuses a token (STS API reference,
// AssumeRoleWithWebIdentity, Errors). The codes come with and without Exception.
var mendWebIdentity = map[string]string{ //nolint:gosec // sentences about tokens, no token
	"InvalidIdentityToken": "STS does not take the agent's token: its issuer must be an IAM OIDC identity provider in the role's account, with the token's audience among its client ids, and sign with RS or ES keys that AWS can fetch",
	"ExpiredToken":         "the agent's token has expired for STS; get a fresh one and connect again (`sallyport run` does so by itself)",
	"IDPRejectedClaim":     "the identity provider rejected the agent's token; it may have been revoked",
	"AccessDenied":         "the role's trust policy does not let this token's issuer, audience or subject sts:AssumeRoleWithWebIdentity",
}

// explainWebIdentity turns an error of AssumeRoleWithWebIdentity into a refusal.
// STS's own text, which may quote the token's claims, goes to the log.
func explainWebIdentity(err error, t Target, region string) *refusal.Error {
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &api) || throttled(err) || errors.As(err, &resp) && resp.HTTPStatusCode() >= http.StatusInternalServerError {
		return explain(err, t, region)
	}
	switch code := bareCode(api); code {
	case "IDPCommunicationError":
		return refusal.Wrap(refusal.Unavailable, err, "STS could not reach the identity provider of the agent's token; nothing was sent to AWS, try again later")
	case "InvalidIdentityToken", "ExpiredToken", "IDPRejectedClaim", "AccessDenied":
		return refusal.Wrap(refusal.Credentials, err, "STS refused the credential for role %s (%s): %s", t.RoleARN, api.ErrorCode(), mendWebIdentity[code])
	}
	return explain(err, t, region)
}
