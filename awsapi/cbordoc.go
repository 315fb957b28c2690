package awsapi

import (
	"encoding/base64"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// strictCBOR reads RFC 8949 with the bounds of the other formats, and nothing that
// two readers could take differently: no key twice, no text that is not UTF-8, no
// bytes behind the value.
var strictCBOR = sync.OnceValues(func() (cbor.DecMode, error) {
	return cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, UTF8: cbor.UTF8RejectInvalid, IndefLength: cbor.IndefLengthAllowed,
		MaxNestedLevels: maxDepth, MaxArrayElements: maxNodes, MaxMapPairs: maxNodes,
		IntDec: cbor.IntDecConvertNone, BigIntDec: cbor.BigIntDecodePointer, TimeTagToAny: cbor.TimeTagToTime,
	}.DecMode()
})

// readCBOR reads the one value of an rpc-v2-cbor body into the root (Smithy RPC v2
// CBOR protocol). An empty body is an operation without input.
func (d *document) readCBOR(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	mode, err := strictCBOR()
	if err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "the gateway cannot read CBOR; nothing was sent to AWS")
	}
	var v any
	if err := mode.Unmarshal(body, &v); err != nil {
		// The library's words may quote keys; what they are called is not needed.
		return refusal.Wrap(refusal.Malformed, err, "the request body is not CBOR that can be read in one way only")
	}
	if _, ok := v.(map[any]any); !ok {
		return refusal.New(refusal.Malformed, "the request body must be a CBOR map")
	}
	return d.cbor(0, v)
}

// cbor puts a decoded value into a node that has its name and shape.
func (d *document) cbor(at int32, v any) error {
	n, sh := &d.nodes[at], d.shapeOf(at)
	container := !sh.IsScalar() && sh.Kind != catalog.Document
	bad := func() error {
		return refusal.New(refusal.Malformed, "the request body's member %q is not of its type", clip(d.nodes[at].name))
	}
	switch v := v.(type) {
	case nil:
		n.kind = nullNode
	case map[any]any:
		if sh.IsScalar() || sh.IsList() {
			return bad()
		}
		n.kind = objectNode
		return d.cborMap(at, v)
	case []any:
		if container && !sh.IsList() || sh.IsScalar() {
			return bad()
		}
		n.kind = listNode
		of := int32(noShape)
		if sh.IsList() {
			of = sh.Of
		}
		for _, e := range v {
			c, err := d.add(at, node{shape: of})
			if err != nil {
				return err
			}
			if err := d.cbor(c, e); err != nil {
				return err
			}
		}
	default:
		text, kind, ok := cborScalar(v)
		if container || !ok || !cborFits(sh.Kind, v) {
			return bad()
		}
		n.text, n.kind = text, kind
	}
	return nil
}

func (d *document) cborMap(at int32, v map[any]any) error {
	names := make([]string, 0, len(v))
	for key := range v {
		name, ok := key.(string)
		if !ok {
			return refusal.New(refusal.Malformed, "the request body has a map with a key that is no text")
		}
		names = append(names, name)
	}
	slices.Sort(names) // a Go map has no order, and the Call of a request must be the same each time
	var k keys
	for _, name := range names {
		n, err := d.entry(at, &k, name)
		if err != nil {
			return err
		}
		c, err := d.add(at, n)
		if err != nil {
			return err
		}
		if err := d.cbor(c, v[name]); err != nil {
			return err
		}
	}
	return nil
}

// cborFits refuses what a reader may turn into another text or number than is judged:
// anything but a text for a text, and bytes, times and big integers for a member that
// is none. Those have no form in a document but base64 and RFC 3339.
func cborFits(kind catalog.Kind, v any) bool {
	if kind == catalog.Document {
		return true
	}
	switch v.(type) {
	case string:
		return true
	case []byte:
		return kind == catalog.Blob
	case time.Time:
		return kind == catalog.Timestamp
	case *big.Int:
		return kind == catalog.Integer
	}
	return kind != catalog.String
}

// cborScalar is a scalar as JSON would have it: bytes in base64, times in RFC 3339.
func cborScalar(v any) (string, nodeKind, bool) {
	switch v := v.(type) {
	case string:
		return v, textNode, true
	case []byte:
		return base64.StdEncoding.EncodeToString(v), textNode, true
	case bool:
		return strconv.FormatBool(v), boolNode, true
	case uint64:
		return strconv.FormatUint(v, 10), numberNode, true
	case int64:
		return strconv.FormatInt(v, 10), numberNode, true
	case *big.Int:
		return v.String(), numberNode, true
	case float32:
		return cborFloat(float64(v))
	case float64:
		return cborFloat(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), textNode, true
	}
	return "", nullNode, false
}

func cborFloat(f float64) (string, nodeKind, bool) {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !isJSONNumber(s) { // an infinity, or none
		return s, textNode, true
	}
	return s, numberNode, true
}
