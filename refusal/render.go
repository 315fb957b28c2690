package refusal

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Headers of every refusal. RequestIDHeader is on allowed answers too.
const (
	RequestIDHeader = "X-Sallyport-Request-Id"
	ReasonHeader    = "X-Sallyport-Reason"
)

// maxMessage bounds the sentence in bytes: a message may quote parts of a
// request, and an answer must stay small whatever the request was.
const maxMessage = 4096

// Render turns a refusal into an HTTP answer in the wire format of the client's
// protocol: status, headers (Content-Length among them) and body. e may be nil;
// that is refused as unavailable. requestID is ours and goes into the headers and
// the sentence; empty leaves it out.
//
// Only e.Reason and e.Message are shown. Control and direction characters in
// the message become spaces, so that it can neither break the format nor play
// tricks on a terminal.
func Render(s Shape, e *Error, requestID string) (statusCode int, header http.Header, body []byte) {
	if e == nil {
		e = &Error{Message: "the gateway could not handle this request; nothing was sent to AWS"}
	}
	reason := e.Reason
	switch reason {
	case Denied, Pending, Unidentified, Identity, Credentials, Malformed, Masking:
	default:
		reason = Unavailable
	}
	requestID = clean(requestID)
	f := s.family()
	a := answer{
		code:      code(f, reason),
		fault:     fault(reason),
		message:   sentence(e.Message, requestID),
		requestID: requestID,
		shape:     s,
	}
	h := http.Header{}
	h.Set(ReasonHeader, string(reason))
	if requestID != "" {
		h.Set(RequestIDHeader, requestID)
		if f == s3Family {
			h.Set("X-Amz-Request-Id", requestID)
			h.Set("X-Amz-Id-2", requestID)
		} else {
			h.Set("X-Amzn-Requestid", requestID)
		}
	}
	switch f {
	case queryFamily:
		body = a.query()
		h.Set("Content-Type", "text/xml")
	case ec2Family:
		body = a.ec2()
		h.Set("Content-Type", "text/xml;charset=UTF-8")
	case s3Family:
		body = a.s3()
		h.Set("Content-Type", "application/xml")
	case jsonFamily:
		body = a.json(true)
		v := s.JSONVersion
		if v != "1.1" {
			v = "1.0"
		}
		h.Set("Content-Type", "application/x-amz-json-"+v)
		h.Set("X-Amzn-Errortype", a.code)
	case cborFamily:
		body = a.cbor()
		h.Set("Content-Type", "application/cbor")
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
	default:
		body = a.json(f == unknownFamily)
		h.Set("Content-Type", "application/json")
		h.Set("X-Amzn-Errortype", a.code)
	}
	if s.QueryCompatible && (f == jsonFamily || f == cborFamily) {
		h.Set("X-Amzn-Query-Error", queryCode(reason)+";"+a.fault)
	}
	if s.Head {
		// No body can say why; what is left is in the headers.
		h.Del("Content-Type")
		return status(reason), h, nil
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return status(reason), h, body
}

// answer is a refusal about to be written down.
type answer struct {
	code, fault, message, requestID string
	shape                           Shape
}

func sentence(message, requestID string) string {
	m := clean(message)
	if len(m) > maxMessage {
		cut := maxMessage
		for !utf8.RuneStart(m[cut]) {
			cut--
		}
		m = m[:cut] + "..."
	}
	if m == "" {
		m = "refused"
	}
	m = "sallyport: " + m
	if requestID != "" {
		m += " (request " + requestID + ")"
	}
	return m
}

// clean makes any bytes a printable line: invalid UTF-8 becomes U+FFFD,
// characters that XML forbids, that steer a terminal or that turn the direction
// of text become spaces.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029', r == 0xFFFE, r == 0xFFFF:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// query is the error of the query protocol, which rest-xml services other than
// S3 use too.
func (a answer) query() []byte {
	var b xmlText
	b.open("ErrorResponse", a.shape.XMLNamespace)
	b.open("Error", "")
	b.leaf("Type", a.fault)
	b.leaf("Code", a.code)
	b.leaf("Message", a.message)
	b.close("Error")
	b.leaf("RequestId", a.requestID)
	b.close("ErrorResponse")
	return b.bytes()
}

// ec2 is the error of the EC2 protocol; its RequestID is spelled like this.
func (a answer) ec2() []byte {
	var b xmlText
	b.open("Response", "")
	b.open("Errors", "")
	b.open("Error", "")
	b.leaf("Code", a.code)
	b.leaf("Message", a.message)
	b.close("Error")
	b.close("Errors")
	b.leaf("RequestID", a.requestID)
	b.close("Response")
	return b.bytes()
}

// s3 is S3's bare Error element.
func (a answer) s3() []byte {
	var b xmlText
	b.open("Error", "")
	b.leaf("Code", a.code)
	b.leaf("Message", a.message)
	b.leaf("RequestId", a.requestID)
	b.leaf("HostId", a.requestID)
	b.close("Error")
	return b.bytes()
}

// json is the error of json 1.0/1.1 (typed) and rest-json, whose type is in the
// header. Both spellings of the message occur in AWS's models, and clients
// look for one of them.
func (a answer) json(typed bool) []byte {
	type body struct {
		Type    string `json:"__type,omitempty"`
		Message string `json:"message"`
		Other   string `json:"Message"`
	}
	v := body{Message: a.message, Other: a.message}
	if typed {
		v.Type = a.typeName()
	}
	b, err := json.Marshal(v)
	if err != nil {
		// Three strings always marshal.
		panic("refusal: " + err.Error())
	}
	return b
}

func (a answer) typeName() string {
	if ns := clean(a.shape.Namespace); ns != "" {
		return ns + "#" + a.code
	}
	return a.code
}

// cbor is {"__type": ..., "message": ...} in deterministic CBOR (RFC 8949,
// 4.2.1): definite lengths, shortest heads.
func (a answer) cbor() []byte {
	b := []byte{0xA0 | 2}
	for _, s := range []string{"__type", a.typeName(), "message", a.message} {
		b = cborText(b, s)
	}
	return b
}

func cborText(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 24:
		b = append(b, 0x60|byte(n))
	case n < 1<<8:
		b = append(b, 0x78, byte(n))
	case n < 1<<16:
		b = append(b, 0x79, byte(n>>8), byte(n))
	default:
		b = append(b, 0x7A, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, s...)
}

// xmlText writes the few elements an error has.
type xmlText struct{ b strings.Builder }

func (x *xmlText) open(name, ns string) {
	if x.b.Len() == 0 {
		x.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	}
	x.b.WriteString("<" + name)
	if ns != "" {
		x.b.WriteString(` xmlns="`)
		x.text(ns)
		x.b.WriteString(`"`)
	}
	x.b.WriteString(">")
}

func (x *xmlText) close(name string) { x.b.WriteString("</" + name + ">") }

func (x *xmlText) leaf(name, value string) {
	x.open(name, "")
	x.text(value)
	x.close(name)
}

func (x *xmlText) text(s string) {
	// EscapeText fails only when its writer does, and a Builder never does.
	if err := xml.EscapeText(&x.b, []byte(s)); err != nil {
		panic("refusal: " + err.Error())
	}
}

func (x *xmlText) bytes() []byte { return []byte(x.b.String()) }
