package mask

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/mask/detect"
)

// This file is about what is recorded of bodies. It is masked whatever the agent gets
// or sends: nothing that lets an agent have a secret lets a record have it.

// Window is how far from a cut in an object's text a secret may lie of which a part is
// on the other side, in bytes.
const Window = detect.Window

// PlanRecord is how an answer that p has masked for the agent is masked again for the
// record: by what AWS's models mark whatever a rule's unmask and Options.PassAWSSensitive
// say, and objects by the detectors whatever Options.MaskObjects says. nil without an
// error: p masks as much, and its result may be recorded as it is. paths and style are
// those of p. An error means that nothing of the body may be recorded.
func (m *Masker) PlanRecord(call *awsapi.Call, p *Plan, paths []Path, style Style) (*Plan, error) {
	if !p.lenient {
		return nil, nil
	}
	strict := *m
	strict.passAWS, strict.objects = false, true
	key := "record\x00" + planKey(call, "", paths, style, nil)
	if p, ok := m.plans.Get(key); ok {
		return p, nil
	}
	out, err := strict.Plan(inputOf(call, "", paths, style, nil))
	if err == nil {
		m.plans.Add(key, out)
	}
	return out, err
}

// Object is what may be recorded of an object that streams to AWS: without the content
// codings that h names, with what the detectors find overwritten, as long as it was. A
// coding that is not known is an error, one that is broken an error of the reader.
func (m *Masker) Object(h http.Header, r io.Reader) (io.Reader, error) {
	plain, _, err := decodeStream(objectCodings(h), r)
	if err != nil || m == nil || m.scan == nil {
		return plain, err
	}
	return newObjectReader(&walk{found: &findings{}, swap: m.swap, scan: m.scan}, plain), nil
}

// RoomOfObject is what Object holds for content codings.
func RoomOfObject(h http.Header) int64 { return Room(objectCodings(h)) }

// objectCodings are a request's. The chunks of an aws-chunked body are no coding of the
// object.
func objectCodings(h http.Header) http.Header {
	var encoding []string
	for _, v := range h.Values("Content-Encoding") {
		for c := range strings.SplitSeq(v, ",") {
			encoding = append(encoding, strings.TrimSpace(c))
		}
	}
	encoding = slices.DeleteFunc(encoding, func(c string) bool { return strings.EqualFold(c, "aws-chunked") })
	return http.Header{"Content-Encoding": encoding}
}

// Detects reports that there are detectors: without any, objects are recorded as they
// are.
func (m *Masker) Detects() bool { return m != nil && m.scan != nil }

// magic begins files that are compressed or encrypted as a whole: gzip, zip (and what is
// made of it), bzip2, xz, zstd, lz4, 7z, compress, snappy's framing, Parquet, ORC, PGP.
var magic = []string{"\x1f\x8b", "PK\x03\x04", "PK\x05\x06", "BZh", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", "\x04\x22\x4d\x18", "7z\xbc\xaf\x27\x1c", "\x1f\x9d", "\xff\x06\x00\x00sNaP", "PAR1", "ORC", "\x85\x02"}

// Opaque reports that an object which begins so is compressed: detectors do not look
// into it, and what is in it must not be recorded. b is its first bytes, 16 or all.
func Opaque(b []byte) bool {
	return slices.ContainsFunc(magic, func(m string) bool { return strings.HasPrefix(string(b), m) })
}
