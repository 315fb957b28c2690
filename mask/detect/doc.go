// Package detect finds secrets in text by what they look like: AWS keys and session
// tokens, private keys, JSON Web Tokens, the tokens of some two hundred services,
// and, when asked for, personal data. It replaces them, also inside JSON text,
// base64 and percent-encoding, and in streams of any length.
//
// A detector is a text that announces a secret (a keyword) with a regular expression
// or a few lines of Go that judge the place where it stands, and often a checksum
// or a least entropy. One pass over the text finds all keywords; only where one
// stands anything else is done. What a detector says depends on a bounded
// stretch of text, so that a stream gives the same answer as the whole text.
//
// It accepts any bytes as text. It refuses, in New, sets that it does not know and
// custom expressions that match too little, too much, or at the ends of a text only.
//
// Where the rules come from:
//
//   - rules/gitleaks.json: gitleaks' rules (MIT, see rules/gitleaks.LICENSE), made by
//     gen (`make detectors`), which says which rules it leaves out and changes, and why.
//   - rules/own.json and the matchers in Go: AWS's documentation (IAM User Guide, "IAM
//     identifiers" and "Temporary security credentials"), RFC 7468 and RFC 4880 (armour), PuTTY's
//     "PPK file format", RFC 7515 and 7516 (JWS, JWE), GitHub's "Behind GitHub's new
//     authentication token formats", ISO/IEC 7812-1, ITU-T E.164, ISO 13616.
//
// It is not a proof that a text is free of secrets: a password has no form of its
// own. Those are found by their place, in package mask.
//
// It does no I/O and has no clock.
package detect
