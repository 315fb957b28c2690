// Package mask takes what is secret out of AWS's answers before they reach an
// agent. What is secret comes from two sources: the members that AWS's own
// models and our list mark (from the catalog), and the paths of the rule that
// allowed the call.
//
// It accepts answers in JSON (json, rest-json), XML (query, ec2, rest-xml) and CBOR
// (smithy-rpc-v2-cbor), plain or gzip. The parser is chosen by the operation's protocol, never by the
// answer's Content-Type. Masked values are replaced in place: every other byte
// stays as it was. It refuses what it cannot read: an answer over the limit, of
// an unknown encoding, that does not parse, or that has a DTD becomes a
// refusal.Masking, and no byte of it is passed on. Answers that cannot be masked
// at all (event streams, streamed objects under a rule's paths) are refused
// by Plan, before anything is sent.
//
// It does no I/O but reading the body that it is given.
package mask
