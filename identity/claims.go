package identity

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/refusal"
)

// maxGroups bounds the groups of one token.
const maxGroups = 1000

// principal checks the claims of a token whose signature holds. The order is the
// order in which mistakes are made: wrong audience, too old, then the rest.
func (c *IssuerConfig) principal(t *token, now time.Time) (*Principal, *refusal.Error) {
	if err := c.checkAudience(t.claims["aud"]); err != nil {
		return nil, err
	}
	p := &Principal{Issuer: c.Issuer}
	if err := c.checkTimes(t.claims, p, now); err != nil {
		return nil, err
	}
	if _, bound := t.claims["cnf"]; bound {
		return nil, refusal.New(refusal.Identity, "the token is bound to a key (cnf) whose possession cannot be proven here; use a plain bearer token")
	}
	email, _ := stringClaim(t.claims["email"])
	if checkName(email) == nil {
		p.Email = email
		p.EmailVerified = string(t.claims["email_verified"]) == "true"
	}
	if err := c.readSubject(t.claims, p); err != nil {
		return nil, err
	}
	if err := c.readGroups(t.claims, p); err != nil {
		return nil, err
	}
	p.Person = isPerson(t.claims, p)
	if id, ok := stringClaim(t.claims["jti"]); ok && checkName(id) == nil {
		p.TokenID = id
	}
	return p, nil
}

// isPerson tells a person's token from a program's own. Issuers mark the latter in
// ways of their own: Entra ID's idtyp, Auth0's gty, a sub that is the client's id
// (RFC 9068, section 2.2), Google's domain for service accounts, Keycloak's names.
// What has neither mark nor a name or verified address is taken for a program's.
func isPerson(claims map[string]json.RawMessage, p *Principal) bool {
	text := func(name string) string { s, _ := stringClaim(claims[name]); return s }
	sub := text("sub")
	switch {
	case text("idtyp") == "app", text("gty") == "client-credentials",
		sub != "" && (sub == text("client_id") || sub == text("azp")),
		strings.HasSuffix(strings.ToLower(p.Email), ".gserviceaccount.com"),
		strings.HasPrefix(text("preferred_username"), "service-account-"):
		return false
	}
	return p.EmailVerified && p.Email != "" || strings.TrimSpace(text("name")) != ""
}

// checkAudience wants the configured audience, byte for byte, in aud: a string or
// a list of strings (RFC 7519 4.1.3).
func (c *IssuerConfig) checkAudience(raw json.RawMessage) *refusal.Error {
	list, ok := stringList(raw)
	if !ok || len(list) == 0 {
		return refusal.New(refusal.Identity, "the token has no audience (aud); ask the issuer for one with audience %s", quote(c.Audience))
	}
	for _, a := range list {
		if slices.Contains(c.Excluded, a) {
			return refusal.New(refusal.Identity, "the token has the audience %s, which is another purpose's; ask the issuer for one with audience %s alone", quote(a), quote(c.Audience))
		}
	}
	if slices.Contains(list, c.Audience) {
		return nil
	}
	shown := make([]string, 0, 3)
	for _, a := range list[:min(len(list), 3)] {
		shown = append(shown, quote(a))
	}
	return refusal.New(refusal.Identity, "the token's audience is %s, %s is wanted; ask the issuer for a token with that audience", strings.Join(shown, ", "), quote(c.Audience))
}

// checkTimes wants exp and iat, and nbf where there is one. The age of a token is
// counted from iat, so that an issuer that writes far exp dates cannot make a
// stolen token useful for longer than MaxTokenAge.
func (c *IssuerConfig) checkTimes(claims map[string]json.RawMessage, p *Principal, now time.Time) *refusal.Error {
	exp, ok := numericDate(claims["exp"])
	if !ok {
		return refusal.New(refusal.Identity, "the token has no expiry (exp), or it is not a number of seconds")
	}
	iat, ok := numericDate(claims["iat"])
	if !ok {
		return refusal.New(refusal.Identity, "the token has no time of issue (iat), or it is not a number of seconds; its age cannot be known")
	}
	if now.After(exp.Add(Leeway)) {
		return expiredError(exp, now)
	}
	if iat.After(now.Add(Leeway)) {
		return futureError("was issued (iat)", iat, now)
	}
	if raw, found := claims["nbf"]; found {
		nbf, ok := numericDate(raw)
		if !ok {
			return refusal.New(refusal.Identity, "the token's nbf is not a number of seconds")
		}
		if nbf.After(now.Add(Leeway)) {
			return futureError("becomes valid (nbf)", nbf, now)
		}
	}
	if !exp.After(iat) {
		return refusal.New(refusal.Identity, "the token expires (exp) before it was issued (iat)")
	}
	if oldest := iat.Add(c.MaxTokenAge); exp.After(oldest) {
		if now.After(oldest.Add(Leeway)) {
			return refusal.New(refusal.Identity, "the token was issued %s ago, at %s; tokens of this issuer are accepted for %s: get a fresh one",
				now.Sub(iat).Round(time.Second), iat.UTC().Format(time.RFC3339), c.MaxTokenAge)
		}
		exp = oldest
	}
	p.IssuedAt, p.Expires = iat, exp
	return nil
}

func futureError(what string, at, now time.Time) *refusal.Error {
	return refusal.New(refusal.Identity, "the token %s only in %s, at %s; the clock here says %s: compare the clocks of issuer and gateway",
		what, at.Sub(now).Round(time.Second), at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

func (c *IssuerConfig) readSubject(claims map[string]json.RawMessage, p *Principal) *refusal.Error {
	s, ok := stringClaim(claimAt(claims, c.SubjectClaim))
	if !ok {
		return refusal.New(refusal.Identity, "the token has no subject: claim %s is missing or not a string", quote(c.SubjectClaim))
	}
	if err := checkName(s); err != nil {
		return refusal.New(refusal.Identity, "the token's subject (claim %s) cannot be used: %v", quote(c.SubjectClaim), err)
	}
	if c.SubjectClaim == "email" && !p.EmailVerified {
		// Where users may type in an address, an unverified one is anybody's.
		return refusal.New(refusal.Identity, "the token's email address is not verified (email_verified), and it is what names the caller")
	}
	p.Subject = s
	return nil
}

// readGroups fills p.Groups. A group that cannot be used refuses the token: were
// it dropped, a deny rule for it would be silently passed by.
func (c *IssuerConfig) readGroups(claims map[string]json.RawMessage, p *Principal) *refusal.Error {
	if _, overage := claims["_claim_names"]; overage {
		// OpenID Connect Core 5.6.2: the claims are elsewhere, at a URL from the
		// token, which is never fetched.
		return nil
	}
	raw := claimAt(claims, c.GroupsClaim)
	if raw == nil || string(raw) == "null" {
		return nil
	}
	list, ok := stringList(raw)
	if !ok {
		return refusal.New(refusal.Identity, "the token's groups (claim %s) are neither a list of strings nor a string", quote(c.GroupsClaim))
	}
	if raw[0] == '"' {
		list = strings.FieldsFunc(list[0], func(r rune) bool { return r == ' ' })
	}
	if len(list) > maxGroups {
		return refusal.New(refusal.Identity, "the token has %d groups, the limit is %d", len(list), maxGroups)
	}
	for _, g := range list {
		if err := checkName(g); err != nil {
			return refusal.New(refusal.Identity, "the token's group %s cannot be used: %v", quote(g), err)
		}
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > 0 {
		p.Groups = list
	}
	return nil
}

// claimAt finds a claim by its exact name (names can be URLs with dots), else by
// the dotted path; nil when there is none.
func claimAt(claims map[string]json.RawMessage, name string) json.RawMessage {
	if raw, found := claims[name]; found {
		return raw
	}
	head, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(claims[head], &inner) != nil {
		return nil
	}
	return claimAt(inner, rest)
}

// stringList reads a string or a list of strings.
func stringList(raw json.RawMessage) ([]string, bool) {
	if s, ok := stringClaim(raw); ok {
		return []string{s}, true
	}
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		// Into []string, null would become the empty string.
		s, ok := stringClaim(item)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// numericDate reads seconds since 1970 (RFC 7519 2), fractions allowed. Strings,
// 1e99 and the like are not times.
func numericDate(raw json.RawMessage) (time.Time, bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	const year9999 = 253402300799
	if err != nil || !(f > 0 && f <= year9999) || (raw[0] < '0' || raw[0] > '9') {
		return time.Time{}, false
	}
	whole, frac := math.Modf(f)
	return time.Unix(int64(whole), int64(frac*1e9)), true
}
