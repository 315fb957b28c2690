package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/refusal"
)

type (
	tok = oidctest.Token
	m   = map[string]any
)

// TestDefectiveTokens sends tokens with one defect each. All must be refused as
// identity, with words that tell the defect, without the token in the message,
// and without a fetch of anything but the issuer's discovery and keys.
func TestDefectiveTokens(t *testing.T) {
	r := newRig(t, nil)
	now := r.now()
	claims := r.claims()
	with := func(replace m) string { return r.Token(oidctest.With(claims, replace)) }
	header := func(h m) string { return r.Sign(tok{Claims: claims, Header: h}) }
	raw := func(s string) string {
		return r.Sign(tok{RawClaims: strings.NewReplacer("ISS", r.URL, "IAT", "1772366000", "EXP", "1772367000").Replace(s)})
	}
	good := r.Token(claims)
	r.good(t, good)
	r.good(t, raw(`{"iss":"ISS","sub":"a","aud":"sallyport","iat":IAT,"exp":EXP}`))

	rsaKey := r.Key("RS256").Private.(*rsa.PrivateKey)
	der, _ := x509.MarshalPKIXPublicKey(rsaKey.Public())
	pubPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	strangerJWK, _ := json.Marshal(jose.JSONWebKey{Key: stranger.Public(), KeyID: "mine"})
	small, _ := rsa.GenerateKey(rand.Reader, 2048)
	parts := strings.Split(good, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	sec := func(d time.Duration) int64 { return now.Add(d).Unix() }
	evil := "https://evil.invalid/keys"

	for name, c := range map[string]struct{ token, want string }{
		"empty":                     {"", "empty"},
		"opaque":                    {"0a9b8c7d6e5f", "not a JWT"},
		"two parts":                 {parts[0] + "." + parts[1], "not a JWT"},
		"JWE":                       {good + ".AAAA.AAAA", "encrypted"},
		"5000 dots":                 {strings.Repeat(".", 5000), "not a JWT"},
		"huge":                      {strings.Repeat("A", 10<<20), "limit"},
		"huge claim":                {with(m{"x": strings.Repeat("y", 16<<10)}), "limit"},
		"line break inside":         {good[:20] + "\n" + good[20:], "characters"},
		"padding":                   {good + "=", "characters"},
		"loose trailing bits":       {good[:len(good)-1] + next(good[len(good)-1]), "base64url"},
		"empty signature":           {parts[0] + "." + parts[1] + ".", "part 3"},
		"no signature, alg none":    {r.Sign(tok{Alg: "none", Claims: claims}), "part 3"},
		"alg none, some signature":  {b64(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], "algorithm"},
		"alg None":                  {b64(`{"alg":"None"}`) + "." + parts[1] + "." + parts[2], "algorithm"},
		"alg missing":               {header(m{"alg": nil}), "algorithm"},
		"alg a number":              {header(m{"alg": 256}), "algorithm"},
		"HS256 with the RSA key":    {r.Sign(tok{Alg: "HS256", Key: pubPEM, Claims: claims, Header: m{"kid": r.Key("RS256").ID}}), "algorithm"},
		"HS256 with the RSA DER":    {r.Sign(tok{Alg: "HS256", Key: der, Claims: claims, Header: m{"kid": r.Key("RS256").ID}}), "algorithm"},
		"PS256 not announced":       {r.Sign(tok{Alg: "PS256", Claims: claims}), "announces"},
		"ES256 under an RSA kid":    {r.Sign(tok{Alg: "ES256", Claims: claims, Header: m{"kid": r.Key("RS256").ID}}), "does not publish"},
		"stranger's key, right kid": {r.Sign(tok{Key: small, Claims: claims}), "signature"},
		"stranger's key, no kid":    {r.Sign(tok{Alg: "ES256", Key: stranger, Claims: claims, Header: m{"kid": nil}}), "signature"},
		"unknown kid":               {header(m{"kid": "other"}), "does not publish"},
		"kid a path":                {header(m{"kid": "../../../dev/null"}), "does not publish"},
		"kid SQL":                   {header(m{"kid": "x' UNION SELECT 'k"}), "does not publish"},
		"kid long":                  {header(m{"kid": strings.Repeat("k", 4000)}), "kid"},
		"kid empty":                 {header(m{"kid": ""}), "kid"},
		"embedded jwk":              {r.Sign(tok{Alg: "ES256", Key: stranger, Claims: claims, Header: m{"kid": "mine", "jwk": json.RawMessage(strangerJWK)}}), "jwk"},
		"jku":                       {header(m{"jku": evil}), "jku"},
		"x5u":                       {header(m{"x5u": evil}), "x5u"},
		"x5c":                       {header(m{"x5c": []string{b64("cert")}}), "x5c"},
		"crit":                      {header(m{"crit": []string{"exp"}}), "crit"},
		"b64 false":                 {header(m{"b64": false}), "b64"},
		"zip":                       {header(m{"zip": "DEF"}), "zip"},
		"duplicate alg":             {r.Sign(tok{RawHeader: `{"alg":"RS256","alg":"RS256"}`, Claims: claims}), "twice"},
		"header not an object":      {r.Sign(tok{RawHeader: `["RS256"]`, Claims: claims}), "object"},
		"a logout token":            {header(m{"typ": "logout+jwt"}), "type"},
		"a DPoP proof":              {header(m{"typ": "dpop+jwt"}), "type"},
		"payload changed":           {parts[0] + "." + b64(strings.Replace(decode(t, parts[1]), "alice", "admin", 1)) + "." + parts[2], "signature"},

		"iss missing":            {with(m{"iss": nil}), "issuer"},
		"iss a list":             {with(m{"iss": []string{r.URL}}), "issuer"},
		"iss of a stranger":      {with(m{"iss": "https://evil.invalid"}), "not configured"},
		"iss with a suffix":      {with(m{"iss": r.URL + ".evil.invalid"}), "not configured"},
		"iss with a slash":       {with(m{"iss": r.URL + "/"}), "last slash"},
		"iss upper case":         {with(m{"iss": strings.ToUpper(r.URL)}), "not configured"},
		"aud wrong":              {with(m{"aud": "other-app"}), `audience is "other-app"`},
		"aud list without ours":  {with(m{"aud": []string{"a", "b"}}), `audience is "a", "b"`},
		"aud missing":            {with(m{"aud": nil}), "no audience"},
		"aud empty list":         {with(m{"aud": []string{}}), "no audience"},
		"aud other case":         {with(m{"aud": "Sallyport"}), "audience"},
		"aud longer":             {with(m{"aud": "sallyport-approver"}), "audience"},
		"aud an object":          {with(m{"aud": m{"sallyport": true}}), ""},
		"aud list with a number": {with(m{"aud": []any{"sallyport", 1}}), ""},

		"expired":                 {with(m{"iat": sec(-30 * time.Minute), "exp": sec(-3 * time.Minute)}), "expired 3m0s ago, at 2026-03-01T11:57:00Z"},
		"expired past the leeway": {with(m{"exp": sec(-61 * time.Second)}), "expired"},
		"exp missing":             {with(m{"exp": nil}), "exp"},
		"exp a string":            {with(m{"exp": "1772370000"}), ""},
		"exp huge":                {with(m{"exp": json.RawMessage("1e99")}), ""},
		"exp negative":            {with(m{"exp": -1}), ""},
		"exp null":                {with(m{"exp": json.RawMessage("null")}), ""},
		"exp before iat":          {with(m{"iat": sec(30 * time.Second), "exp": sec(20 * time.Second)}), "before"},
		"nbf ahead":               {with(m{"nbf": sec(2 * time.Minute)}), "nbf"},
		"nbf a string":            {with(m{"nbf": "now"}), ""},
		"iat missing":             {with(m{"iat": nil}), "iat"},
		"iat ahead":               {with(m{"iat": sec(2 * time.Minute)}), "iat"},
		"too old, far exp":        {with(m{"iat": sec(-2 * time.Hour), "exp": sec(24 * time.Hour)}), "issued 2h0m0s ago"},

		"sub missing":           {with(m{"sub": nil}), "subject"},
		"sub empty":             {with(m{"sub": ""}), "subject"},
		"sub a number":          {with(m{"sub": 7}), ""},
		"sub zero-width":        {with(m{"sub": "admin\u200b"}), "U+200B"},
		"sub bidi":              {with(m{"sub": "a\u202eb"}), "U+202E"},
		"sub control":           {with(m{"sub": "a\x1b[2K"}), "U+001B"},
		"sub line break":        {with(m{"sub": "a\nb"}), "U+000A"},
		"sub space at end":      {with(m{"sub": "admin "}), "space"},
		"sub no-break space":    {with(m{"sub": "a\u00a0b"}), "U+00A0"},
		"sub not NFC":           {with(m{"sub": "e\u0301"}), "normal form"},
		"sub filler":            {with(m{"sub": "admin\u3164"}), "U+3164"},
		"sub variation":         {with(m{"sub": "admin\ufe0f"}), "U+FE0F"},
		"sub long":              {with(m{"sub": strings.Repeat("s", 257)}), "256"},
		"group zero-width":      {with(m{"groups": []string{"ok", "admin\u200b"}}), "U+200B"},
		"group empty":           {with(m{"groups": []string{""}}), "empty"},
		"group not a string":    {with(m{"groups": []any{"a", 1}}), "groups"},
		"group null inside":     {with(m{"groups": []any{nil}}), "groups"},
		"groups nested":         {with(m{"groups": [][]string{{"a"}}}), "groups"},
		"groups an object":      {with(m{"groups": m{"admin": true}}), "groups"},
		"groups too many":       {with(m{"groups": strings.Fields(strings.Repeat("g ", 1001))}), "1001"},
		"bound to a key":        {with(m{"cnf": m{"jkt": "x"}}), "cnf"},
		"duplicate sub":         {raw(`{"iss":"ISS","sub":"a","sub":"admin","aud":"sallyport","iat":IAT,"exp":EXP}`), "twice"},
		"duplicate by case":     {raw(`{"iss":"ISS","sub":"a","Sub":"admin","aud":"sallyport","iat":IAT,"exp":EXP}`), "twice"},
		"duplicate by escape":   {raw(`{"iss":"ISS","sub":"a","\u0073ub":"admin","aud":"sallyport","iat":IAT,"exp":EXP}`), "twice"},
		"duplicate deep inside": {raw(`{"iss":"ISS","sub":"a","aud":"sallyport","iat":IAT,"exp":EXP,"x":[{"g":1,"g":2}]}`), "twice"},
		"sub by case only":      {raw(`{"iss":"ISS","SUB":"a","aud":"sallyport","iat":IAT,"exp":EXP}`), "subject"},
		"two documents":         {raw(`{"iss":"ISS","sub":"a","aud":"sallyport","iat":IAT,"exp":EXP}{}`), ""},
		"claims not UTF-8":      {raw("{\"iss\":\"ISS\",\"sub\":\"a\xff\",\"aud\":\"sallyport\",\"iat\":IAT,\"exp\":EXP}"), "UTF-8"},
		"claims deep":           {raw(`{"iss":"ISS","x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + `}`), "nested"},
		"claims a token":        {r.Sign(tok{RawClaims: `"` + good + `"`}), "object"},
	} {
		t.Run(name, func(t *testing.T) {
			err := r.refused(t, c.token, refusal.Identity)
			if !strings.Contains(err.Message, c.want) {
				t.Errorf("message %q does not say %q", err.Message, c.want)
			}
			if len(err.Error()) > 600 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
			for _, part := range strings.Split(c.token, ".") {
				if len(part) > 12 && strings.Contains(err.Error(), part) {
					t.Errorf("message holds a part of the token: %q", err.Message)
				}
			}
		})
	}
	for _, u := range r.Requests() {
		if u != r.URL+oidctest.DiscoveryPath && u != r.URL+oidctest.KeysPath {
			t.Errorf("fetched %s", u)
		}
	}
	if n := r.Count(oidctest.KeysPath); n != 1 {
		t.Errorf("%d fetches of the keys within a minute, want 1", n)
	}
}

// next is the base64url character after c: behind 256 bytes the last character
// has four bits that mean nothing, so c and next spell the same signature.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1:][:1]
}

func decode(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
