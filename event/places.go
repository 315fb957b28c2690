package event

import "bytes"

// The widths of what Link writes.
const (
	sequenceWidth = 20
	digestWidth   = 64
)

// Places finds where a line of a linked event has its sequence (20 digits) and its
// prevdigest (64 of hex), so that an event can be encoded with Link(e, 0, NoDigest)
// and get its place in the chain later, without being encoded again. ok is false for
// an event that is not linked.
func Places(line []byte) (sequence, prev int, ok bool) {
	sequence = place(line, `,"`+extSequence+`":"`, sequenceWidth)
	prev = place(line, `,"`+extPrevDigest+`":"`, digestWidth)
	return sequence, prev, sequence > 0 && prev > 0
}

// place is where the value behind a member's name is; 0 if it is not there. The
// attributes come before data, and texts in them have their quotes escaped, so that
// the first match is the attribute.
func place(line []byte, name string, width int) int {
	at := bytes.Index(line, []byte(name))
	if at < 0 {
		return 0
	}
	at += len(name)
	if at+width >= len(line) || line[at+width] != '"' {
		return 0
	}
	return at
}

// PutSequence writes a sequence where Places found it.
func PutSequence(b []byte, sequence uint64) {
	for i := sequenceWidth - 1; i >= 0; i-- {
		b[i] = '0' + byte(sequence%10)
		sequence /= 10
	}
}
