package mask

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// goOn are the texts that come in pieces, one an event, by their paths below the
// event stream. Everything below a member named delta comes so too. All other texts
// are whole in their event: log lines, records, traces, citations.
var goOn = map[string]bool{
	"chunk.bytes":                true, // Bedrock's InvokeModelWithResponseStream, InvokeAgent
	"fields.data":                true, // CloudWatch Logs' GetLogObject
	"output.text":                true, // RetrieveAndGenerateStream
	"output.message":             true, // IoT SiteWise's InvokeAssistant
	"trace.text":                 true,
	"summary.content":            true,
	"result.content.*.text":      true, // AgentCore's InvokeCodeInterpreter
	"analyzePromptEvent.message": true,
	"optimizedPromptEvent.optimizedPrompt.textPrompt.text": true,
}

// modelText are the members in which the models of InvokeModelWithResponseStream
// send text, inside the JSON that an event's bytes are (Bedrock User Guide,
// "Inference request parameters and response fields").
var modelText = []string{"outputText", "generation", "text", "completion", "content", "output", "response"}

// fixed are members beside such texts that are words of the protocol.
var fixed = []string{"type", "role", "id", "stop_reason", "stopReason", "finish_reason"}

func goesOn(path []string, inner bool) bool {
	name := ""
	for _, step := range slices.Backward(path) {
		if name = step; name != "*" {
			break
		}
	}
	if slices.Contains(fixed, name) {
		return false
	}
	below := path
	if !inner && len(path) > 0 {
		below = path[1:] // the event's type: contentBlockDelta has members that are none
	}
	return slices.ContainsFunc(below, func(s string) bool { return strings.Contains(strings.ToLower(s), "delta") }) ||
		!inner && goOn[strings.Join(path, ".")] || inner && slices.Contains(modelText, name)
}

// finder looks for the texts of a JSON document that go on in other events.
type finder struct {
	prefix string   // of the texts' keys
	path   []string // to where it is, `*` for list elements
	inner  bool     // the document is a message inside an event
	src    []byte
	dec    *json.Decoder
	at     []string // path, with positions in lists

	pieces []*piece
	kind   string // what a message inside an event says that it is
	index  string // the content block that an event is of
}

// value reads one value.
func (f *finder) value() error {
	start := int(f.dec.InputOffset())
	tok, err := f.dec.Token()
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return f.object()
		}
		for i := 0; f.dec.More(); i++ {
			if err := f.step("*", strconv.Itoa(i)); err != nil {
				return err
			}
		}
		_, err = f.dec.Token()
	case string:
		if t != "" && goesOn(f.path, f.inner) {
			for f.src[start] != '"' {
				start++
			}
			f.piece(start, int(f.dec.InputOffset()))
		}
	}
	return err
}

// step reads the value below.
func (f *finder) step(name, at string) error {
	f.path, f.at = append(f.path, name), append(f.at, at)
	err := f.value()
	f.path, f.at = f.path[:len(f.path)-1], f.at[:len(f.at)-1]
	return err
}

func (f *finder) object() error {
	first, index := len(f.pieces), ""
	for f.dec.More() {
		tok, err := f.dec.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		before := f.dec.InputOffset()
		if err := f.step(name, name); err != nil {
			return err
		}
		value := strings.Trim(string(f.src[before:f.dec.InputOffset()]), ": \t\r\n")
		switch {
		case len(value) > 64:
		case name == "index" || name == "contentBlockIndex":
			index = "#" + value
		case name == "type" && len(f.at) == 0:
			f.kind = strings.Trim(value, `"`)
		}
	}
	if index != "" { // blocks with a number of their own have texts of their own
		for _, p := range f.pieces[first:] {
			p.key += index
		}
		f.index = index
	}
	_, err := f.dec.Token()
	return err
}

func (f *finder) piece(start, end int) {
	p := &piece{start: start, end: end, quoted: true, text: unquote(f.src[start:end])}
	p.key = f.prefix + "/" + strings.Join(f.at, "/")
	if name := f.path[len(f.path)-1]; name == "bytes" || name == "data" {
		if b, err := base64.StdEncoding.DecodeString(string(p.text)); err == nil {
			p.text, p.base64 = b, true
		}
	}
	f.pieces = append(f.pieces, p)
}
