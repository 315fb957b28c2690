// Package mask takes what is secret out of AWS's answers before they reach an
// agent. What is secret comes from two sources: the members that AWS's own
// models and our list mark (from the catalog), and the paths of the rule that
// allowed the call.
//
// It accepts answers in JSON (json, rest-json), XML (query, ec2, rest-xml) and CBOR
// (smithy-rpc-v2-cbor), event streams of these, and objects that stream; plain or in
// HTTP's content encodings (RFC 9110, 1950 to 1952, 7932, 8878). The parser is chosen
// by the operation's protocol, never by the answer's Content-Type; of an event by its
// own header, and what is marked in it and not found in that format is refused. Masked
// values are replaced in place: every other byte stays as it was. It refuses what it
// cannot read: an answer over the limit, of an unknown encoding, that does not parse,
// or that has a DTD becomes a refusal.Masking, and no byte of it is passed on. A stream
// in which that is found is cut off. Parts that cannot be cut out of a masked object
// are refused by Plan and Plan.Range, before anything is sent.
//
// It does no I/O but reading the body that it is given.
package mask
