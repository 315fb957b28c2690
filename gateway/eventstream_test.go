package gateway_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/sallyport/sallyport/event"
)

const logsHost = "logs.us-east-1.amazonaws.com"

const streamPolicy = `rules:
  - name: tail
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["logs:StartLiveTail"]
    effect: allow
    mask: ["sessionUpdate.sessionResults.#.secret"]
`

func frame(t *testing.T, typ, payload string) string {
	t.Helper()
	var h eventstream.Headers
	h.Set(":message-type", eventstream.StringValue("event"))
	h.Set(":event-type", eventstream.StringValue(typ))
	h.Set(":content-type", eventstream.StringValue("application/json"))
	var b bytes.Buffer
	must(t, eventstream.NewEncoder().Encode(&b, eventstream.Message{Headers: h, Payload: []byte(payload)}))
	return b.String()
}

func (c *tunnel) tail(t *testing.T) answer {
	t.Helper()
	return c.do(t, http.MethodPost, "/", `{"logGroupIdentifiers":["arn:aws:logs:us-east-1:111122223333:log-group:app"]}`, jsonCall("Logs_20140328.StartLiveTail")...)
}

func (r *rig) liveTail(t *testing.T) answer {
	t.Helper()
	return r.tunnel(t, logsHost, r.token()).tail(t)
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"

// Event streams are masked however AWS sends them, and the record tells of it.
func TestEventStreams(t *testing.T) {
	t.Parallel()
	in := frame(t, "sessionStart", `{"sessionId":"1"}`) + frame(t, "sessionUpdate", `{"sessionResults":[{"message":"m `+plantedKey+`","secret":"`+canary+`"},{"message":"n"}]}`) + frame(t, "sessionUpdate", `{}`)
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	_, err := io.WriteString(zw, in)
	must(t, err)
	must(t, zw.Close())
	for name, send := range map[string]func(w io.Writer){
		"by length": func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%sContent-Length: %d\r\n\r\n%s", streamHead, len(in), in)
		},
		"chunks of one byte": func(w io.Writer) {
			_, _ = io.WriteString(w, streamHead+"Transfer-Encoding: chunked\r\n\r\n")
			c := httputil.NewChunkedWriter(w)
			for i := range len(in) {
				_, _ = io.WriteString(c, in[i:i+1])
			}
			_ = c.Close()
			_, _ = io.WriteString(w, "\r\n")
		},
		"gzip": func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", streamHead, z.Len(), z.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newScripted(t, rigOptions{policy: streamPolicy, extra: maskObjects}, func(w net.Conn, q *http.Request) bool {
				_, _ = io.Copy(io.Discard, q.Body)
				send(w)
				return true
			})
			a := r.liveTail(t)
			passed(t, a, http.StatusOK)
			var got string
			n := 0
			for b := bytes.NewReader(a.body); b.Len() > 0; n++ {
				m, err := eventstream.NewDecoder().Decode(b, nil)
				must(t, err)
				got += string(m.Payload)
			}
			if n != 3 || strings.Contains(got, canary) || strings.Contains(got, plantedKey) || !strings.Contains(got, `{"message":"n"}`) || a.Header.Get("Content-Encoding") != "" {
				t.Errorf("%d events: %s %v", n, got, a.Header)
			}
			if d := data[*event.Response](t, r.exchange(t, a.id())); len(d.Findings) != 2 || d.ResponseBody.Size != int64(len(a.body)) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// An event that cannot be masked ends the answer: never as if it were whole.
func TestEventStreamFails(t *testing.T) {
	t.Parallel()
	good := frame(t, "sessionStart", `{"sessionId":"1"}`)
	bad := frame(t, "sessionUpdate", `{"a":"`+canary+`"}`)
	for name, f := range map[string]string{
		"checksum": bad[:len(bad)-1] + string(bad[len(bad)-1]^1),
		"limit":    frame(t, "sessionUpdate", `{"a":"`+canary+strings.Repeat("x", 64<<10)+`"}`),
		"not JSON": frame(t, "sessionUpdate", `{"a":"`+canary),
	} {
		t.Run(name, func(t *testing.T) {
			all := good + f + good
			r, _ := newScripted(t, rigOptions{policy: streamPolicy, extra: "mask: {max_body: 64KiB}"}, say(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", streamHead, len(all), all), true))
			a := r.liveTail(t)
			if a.StatusCode != http.StatusOK || a.err == nil || string(a.body) != good {
				t.Fatalf("%d %q, read error %v: want the connection cut", a.StatusCode, a.body, a.err)
			}
			list := r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted)
			if d := data[*event.Aborted](t, list); d.Stage != "answer" || d.ErrorCode != "masking" || strings.Contains(d.ErrorMessage, canary) || !strings.Contains(d.ErrorMessage, "events") {
				t.Errorf("%+v", d)
			} else if want := digestOf(good); d.ResponseBody == nil || *d.ResponseBody != want || d.ResponseBodyRecorded.Size != want.Size || d.ResponseBodyRecorded.Omitted != event.OmittedBroken {
				t.Errorf("of what was passed on is on record %+v %+v", d.ResponseBody, d.ResponseBodyRecorded)
			}
			if strings.Contains(r.log.String(), canary) {
				t.Error("the event is in the log")
			}
		})
	}
}
