package detect

import (
	"slices"
	"strings"
	"testing"
)

func mustNew(t testing.TB, sets ...string) *Scanner {
	t.Helper()
	s, err := New(Config{Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func allSets() []string {
	return append(DefaultSets(), "emails", "cards", "phones", "ssns", "ibans")
}

func masked(string, []byte) []byte { return []byte("sallyport/masked") }

// In the texts, what stands between « and » is the secret; texts without them are
// look-alikes that stay.
type sampleText struct{ label, text string }

var families = map[string][]sampleText{
	"aws-keys": {
		{"", "id «AKIAIOSFODNN7EXAMPLE» is AWS's example"},
		{"", "«ASIAY34FZKBOKMUTVV7A»"},
		{"Description", "old key «AKIAIOSFODNN7EXAMPLE», gone"},
		{"", `\n«AKIAIOSFODNN7EXAMPLE»\n`},
		{"", "xAKIAIOSFODNN7EXAMPLE"},
		{"", "AKIAIOSFODNN7EXAMPLEX"},
		{"", "AKIA_IOSFODNN7EXAMPLE"},
		{"", "akiaiosfodnn7example"},
		{"AccessKeyId", "AKIAIOSFODNN7EXAMPLE"},
		{"access_key_id", "AKIAIOSFODNN7EXAMPLE"},
		{"UserId", "AIDACKCEVSQ6C2EXAMPLE"},
		{"", "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"},
		{"", "AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY» make"},
		{"", `"SecretAccessKey": "«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"`},
		{"", `\"secretKey\":\"«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»\"`},
		{"", `"secretKey":"«wJalrXUtnFEMI\/K7MDENG\/bPxRfiCYEXAMPLEKEY»"`},
		{"", "<SecretAccessKey>«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»</SecretAccessKey>"},
		{"", `{"Name":"AWS_SECRET_ACCESS_KEY","Value":"«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"}`},
		{"", "<Name>AWS_SECRET_ACCESS_KEY</Name>\n  <Value>«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»</Value>"},
		{"SecretAccessKey", "«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"},
		{"", "«AKIAIOSFODNN7EXAMPLE»,«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"},
		{"", "«AKIAIOSFODNN7EXAMPLE»:«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»\n"},
		{"", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{"", "secretKey: da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{"SecretAccessKey", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYandmore"},
		{"", "«IQoJb3JpZ2luX2VjEOz//////////wEaCXVzLWVhc3QtMSJHMEUCIQ==» end"},
		{"", "X-Amz-Security-Token=«FwoGZXIvYXdzEBYaDExampleExampleExample%2Fabc%3D%3D»&X-Amz-Date=1"},
		{"", "IQoJb3JpZ2lu is how they begin"},
		{"", "key «ABSKQmVkcm9ja0FQSUtleS1leGFtcGxlMDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU2Nzg5YWJjZGVm»"},
		{"", "«bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2Fs» x"},
		{"", "the bedrock-api-key-policy"},
	},
	"private-keys": {
		{"", "a\n«-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8Pb\n-----END RSA PRIVATE KEY-----»\nb"},
		{"", `{"key":"«-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp\n-----END PRIVATE KEY-----»\n"}`},
		{"", "«-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\n-----END OPENSSH PRIVATE KEY-----»"},
		{"", "«-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSe\n-----END EC PRIVATE KEY-----»"},
		{"", "«-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFHDBOBgkqhkiG9w0BBQ0wQTApBgkqhkiG9w0B\n-----END ENCRYPTED PRIVATE KEY-----»"},
		{"", "«-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\nabc\n-----END RSA PRIVATE KEY-----»"},
		{"", "«-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\nlQdGBGQ0123456789abcdefghijklm\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----»"},
		{"", "«---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAAAi4AAAA3aWYtbW9kbntzaWdue3JzYS1\n---- END SSH2 ENCRYPTED PRIVATE KEY ----»."},
		{"", "«-----BEGIN PRIVATE KEY-----\nshort\n-----END PRIVATE KEY-----»"},
		{"", "its END never comes: «-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp and so on»"},
		{"", "PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 2\nAAAAC3NzaC1lZDI1NTE5AAAAI\n«Private-Lines: 1\nAAAAIGVzdCBvZiBhIGtleSBpbiBwcGsgZm9ybWF0\nPrivate-MAC: 0123456789abcdef0123456789abcdef»\nx"},
		{"", "tls.key: «LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFcEFJQkFBS0NBUUVBMFozVlM1SkpjZHMz»\n"},
		{"", "-----BEGIN CERTIFICATE-----\nMIIDXTCCAkWgAwIBAgIJAKL0UG+mRkSvMA0G\n-----END CERTIFICATE-----"},
		{"", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----"},
		{"", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nmQENBFabcdefghijklmnop\n-----END PGP PUBLIC KEY BLOCK-----"},
		{"", "a file with -----BEGIN PRIVATE KEY----- in it"},
		{"", "private-lines: none"},
	},
	"jwt": {
		{"", "Bearer «eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»"},
		{"", `\n«eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»\n`},
		{"", "JWE «eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT»,"},
		{"", "unsigned «eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ.»"},
		{"", "eyJOZXh0VG9rZW4iOiBudWxsfQ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"},
		{"", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9 alone is a header"},
		{"", "eyJhIjoiYWxnIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"},
		{"", "eyJub3QganNvbg.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc"},
	},
	"tokens": {
		{"", "«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» has a right checksum"},
		{"", "«ghs_0123456789abcdefghijABCDEFGHIJ012345» has a wrong one but looks random"},
		{"", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"", "ghp_short"},
		{"", "https://hooks.slack.com/services/«T00000000/B00000000/" + "abcdefghijklmnopqrstuvwx»"},
		{"", "key=«sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc»&x=1"},
		{"", "pk_live_4eC39HqLyjWDarjtT1zdp7dc"},
		{"", "<Value>«xoxb-" + "123456789012-123456789012-abcdefghijklmnopqrstuvwx»</Value>"},
		{"", "AIzaSyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{"", "«npm_abcdefghijklmnopqrstuvwxyz0123456789»"},
		{"", "«glpat-abcdefghij0123456789»"},
		{"twitter_api_key", "«abcdefghij0123456789abcde»"},
		{"", "twitter says abcdefghij0123456789abcde"},
		{"", "client secret «abc8Q~defghijklmnopqrstuvwxyz0123456789a»"},
		{"", "task-force, risk-free, disk-space, sk-learn, API-VERSION, s.example.com"},
	},
	"emails": {
		{"", "to «jane.doe+aws@mail.example.com», please"},
		{"", "<«root@example.org»>"},
		{"", "«jürgen@example.com»"},
		{"", "user@host, arn:aws:iam::1:user/a@b, @media, a@1.2"},
		{"", "git@v1.2.3"},
	},
	"cards": {
		{"", "card «4111 1111 1111 1111» exp"},
		{"", "«4111111111111111»"},
		{"", "«3782-822463-10005»"},
		{"", "«5555555555554444»,"},
		{"", "4111 1111 1111 1112"},
		{"", "id 94111111111111111"},
		{"", "41111111111111110000000"},
		{"", "1234567890123452"},
		{"", "vol-4111111111111111 and 0.4111111111111111 and a4111111111111111"},
	},
	"phones": {
		{"", "call «+442079460958» or «+1 555-234-5678»"},
		{"", "«(555) 234-5678»"},
		{"", "«555-234-5678»"},
		{"", "«020 7946 0958»"},
		{"", "123456789012, 2026-03-14, 10.0.3.157, 1.2.3.4, +12, 2026-03-14T09:21:07"},
		{"", "5552345678"},
		{"", "3f1c9a7e-7f0b-4d5c-9c5f-555-234-5678"},
	},
	"ssns": {
		{"", "SSN «078-05-1120»"},
		{"", "«078 05 1120»."},
		{"", "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000"},
		{"", "078051120, 078-05 1120, 1078-05-1120, 078-05-11201"},
	},
	"ibans": {
		{"", "to «GB82 WEST 1234 5698 7654 32»"},
		{"", "«DE89370400440532013000»,"},
		{"", "DE89370400440532013001"},
		{"", "XX89370400440532013000 GB82WEST123456987654"},
		{"", "aDE89370400440532013000"},
	},
}

func TestFamilies(t *testing.T) {
	for set, examples := range families {
		s := mustNew(t, set)
		for _, e := range examples {
			var want []string
			for i, part := range strings.FieldsFunc("\x00"+e.text, func(r rune) bool { return r == '«' || r == '»' }) {
				if i%2 == 1 {
					want = append(want, part)
				}
			}
			if !strings.Contains(e.text, "«") {
				want = nil
			}
			text := strings.NewReplacer("«", "", "»", "").Replace(e.text)
			var got []string
			for _, span := range s.Find(e.label, []byte(text)) {
				got = append(got, text[span.Start:span.End])
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q %q:\ngot  %q\nwant %q", set, e.label, text, got, want)
			}
		}
	}
}

func TestCustom(t *testing.T) {
	s := everything(t)
	for text, want := range map[string]string{
		"a corp-abcdefgh1 b":     "a sallyport/masked b",
		"acorp-abcdefgh1":        "acorp-abcdefgh1",
		"ABC12345 and XYZ00000é": "sallyport/masked and sallyport/masked",
		"badge 0123456789ab":     "badge sallyport/masked",
		"other 0123456789ab":     "other 0123456789ab",
		"PIN: 123456.":           "PIN: sallyport/masked.",
	} {
		if got, _ := s.Mask("", []byte(text), masked); string(got) != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for name, c := range map[string]Config{
		`no set of detectors is named "password"`: {Sets: []string{"password"}},
		"give it a name":          {Custom: []Custom{{Regex: "abcd"}}},
		"cannot be read":          {Custom: []Custom{{Name: "a", Regex: "(abc"}}},
		"fewer than 3 characters": {Custom: []Custom{{Name: "a", Regex: "(abc)?"}}},
		"has no longest match":    {Custom: []Custom{{Name: "a", Regex: "abc.+"}}},
		"more than 4096":          {Custom: []Custom{{Name: "a", Regex: "abca{900}b{900}c{900}d{900}e{900}"}}},
		"has ^ or $":              {Custom: []Custom{{Name: "a", Regex: "^abcd"}}},
		"has no group 2":          {Custom: []Custom{{Name: "a", Regex: "a(bcd)", Group: 2}}},
		"from 0 to 8 bits":        {Custom: []Custom{{Name: "a", Regex: "abcd", Entropy: 9}}},
		"keywords must have 1":    {Custom: []Custom{{Name: "a", Regex: "abcd", Keywords: []string{""}}}},
		"two detectors are named": {Custom: []Custom{{Name: "a", Regex: "abcd"}, {Name: "a", Regex: "abcd"}}},
		"longer than 2000":        {Custom: []Custom{{Name: "a", Regex: strings.Repeat("a", 2001)}}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
}

// A detector that takes the replacement for a secret leaves it all the same.
func TestReplacementStays(t *testing.T) {
	s, err := New(Config{Custom: []Custom{{Name: "path", Regex: `[a-z]{4,20}/[a-z]{4,20}`}, {Name: "base64", Regex: `[A-Za-z0-9]{22}`}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"sallyport/masked", "c2FsbHlwb3J0L21hc2tlZA"} {
		untouched(t, s, "replacement", "", []byte(text))
	}
	if out, _ := s.Mask("", []byte("abcd/efgh"), masked); string(out) != "sallyport/masked" {
		t.Errorf("got %s", out)
	}
}

// Nothing is found by a scanner that was told nothing.
func TestZeroConfig(t *testing.T) {
	s := mustNew(t)
	if got := s.Find("SecretAccessKey", []byte("AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")); got != nil {
		t.Error(got)
	}
}
