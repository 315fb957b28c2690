package event

import (
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Message is an event as it travels: CloudEvents' structured mode with the line as
// its payload, or for a body binary mode (CloudEvents NATS binding): attributes as
// headers, the bytes as payload. Base64 in JSON would cost twice the time and a
// third more room.
type Message struct {
	Header  map[string][]string // nil in structured mode
	Payload []byte
	Line    []byte // the event's JSON: what chains, logs and digests are of
}

const binaryType = "application/octet-stream"

// EncodeMessage is EncodeLimit for what travels; limit is of the line or the payload.
// A Body without its payload does not encode.
func EncodeMessage(e Event, limit int) (Message, error) {
	line, err := EncodeLimit(e, limit)
	if err != nil {
		return Message{}, err
	}
	d, ok := e.Data.(*Body)
	if !ok {
		return Message{Payload: line, Line: line}, nil
	}
	if d.bytes == nil || len(d.bytes) > limit {
		return Message{}, fmt.Errorf("event %s: a body needs its payload, of at most %d bytes", e.ID, limit)
	}
	h := map[string][]string{
		"content-type":   {binaryType},
		"ce-specversion": {specVersion},
		"ce-id":          {e.ID}, "ce-source": {clean(e.Source)}, "ce-type": {e.Type()}, "ce-time": {stamp(e.Time)},
		"ce-sessionid": {d.SessionID}, "ce-requestid": {d.RequestID}, "ce-eventtime": {stamp(d.EventTime)},
		"ce-part": {d.Part}, "ce-index": {strconv.Itoa(d.Index)}, "ce-offset": {strconv.FormatInt(d.Offset, 10)},
	}
	if e.Subject != "" {
		h["ce-subject"] = []string{clean(e.Subject)}
	}
	for name, v := range e.Extensions {
		if _, taken := h["ce-"+name]; taken {
			return Message{}, fmt.Errorf("event %s: extension attribute %s has a meaning of its own in a body", e.ID, name)
		}
		if v != printable(v) {
			return Message{}, fmt.Errorf("event %s: extension attribute %s cannot be a header", e.ID, name)
		}
		h["ce-"+name] = []string{v}
	}
	return Message{Header: h, Payload: d.bytes, Line: line}, nil
}

// DecodeMessage reads what EncodeMessage made. In structured mode the line is the
// payload itself, byte for byte; in binary mode it is made anew, and is the same
// that was encoded. Headers that are none of CloudEvents' are of the transport.
func DecodeMessage(header map[string][]string, b []byte) (Event, Message, error) {
	attrs := map[string]string{}
	for name, values := range header {
		name = strings.ToLower(textproto.TrimString(name))
		attr, ok := strings.CutPrefix(name, "ce-")
		if !ok {
			continue
		}
		if _, twice := attrs[attr]; twice || len(values) != 1 {
			return Event{}, Message{}, fmt.Errorf("decode event: header %.40q does not come once", name)
		}
		attrs[attr] = values[0]
	}
	if len(attrs) == 0 {
		e, err := Decode(b)
		if err == nil && e.Kind() == KindBody {
			err = errors.New("decode event: a body travels in binary mode")
		}
		return e, Message{Payload: b, Line: b}, err
	}
	take := func(name string) string {
		v := attrs[name]
		delete(attrs, name)
		return v
	}
	if v := take("specversion"); v != specVersion {
		return Event{}, Message{}, fmt.Errorf("decode event: specversion %.20q, want %s", v, specVersion)
	}
	if t := take("type"); t != typePrefix+string(KindBody)+typeSuffix {
		return Event{}, Message{}, fmt.Errorf("decode event: type %.60q does not travel in binary mode", t)
	}
	if len(b) == 0 || len(b) > MaxChunk {
		return Event{}, Message{}, fmt.Errorf("decode event: a body's piece has 1 to %d bytes, this %d", MaxChunk, len(b))
	}
	e := Event{ID: take("id"), Source: take("source"), Subject: take("subject")}
	var err [4]error
	e.Time, err[0] = time.Parse(time.RFC3339Nano, take("time"))
	c := Common{SessionID: take("sessionid"), RequestID: take("requestid")}
	c.EventTime, err[1] = time.Parse(time.RFC3339Nano, take("eventtime"))
	part := take("part")
	index, err2 := strconv.Atoi(take("index"))
	offset, err3 := strconv.ParseInt(take("offset"), 10, 64)
	err[2], err[3] = err2, err3
	if errors.Join(err[:]...) != nil {
		return Event{}, Message{}, errors.New("decode event: a body's time, index or offset is malformed")
	}
	if len(attrs) > 0 {
		e.Extensions = attrs
	}
	e.Data = NewBody(c, part, index, offset, b)
	m, failed := EncodeMessage(e, maxDecode)
	if failed != nil {
		return Event{}, Message{}, fmt.Errorf("decode event: %w", failed)
	}
	return e, m, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// printable is s without what ends or splits a header.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, s)
}
