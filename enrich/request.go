package enrich

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
)

// userAgent is what CloudTrail shows of a read.
const userAgent = "sallyport-enrichment"

// message is a request as a client of AWS writes it, without a signature.
type message struct {
	method, target string
	header         map[string]string
	body           []byte
}

func (m message) request(host, account string) (awsapi.Request, []byte) {
	h := http.Header{"User-Agent": {userAgent}}
	for name, v := range m.header {
		h.Set(name, v)
	}
	return awsapi.Request{Method: m.method, Host: host, Target: m.target, Header: h, ContentLength: int64(len(m.body)), Account: account}, m.body
}

func get(target string) message { return message{method: http.MethodGet, target: target} }

// escape writes a path's label as the SDKs do: slashes and colons as well.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// form is a call of a query protocol with the resource's ARN in member.
func form(action, version, member string) func(string, []arn) message {
	return func(_ string, of []arn) message {
		return formMessage("Action", action, "Version", version, member, of[0].text)
	}
}

func formMessage(pairs ...string) message {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1]))
	}
	return message{
		method: http.MethodPost, target: "/", body: []byte(b.String()),
		header: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
	}
}

// jsonCall is a call of AWS JSON with the resource's ARN in member.
func jsonCall(version, target, member string) func(string, []arn) message {
	return func(_ string, of []arn) message { return jsonMessage(version, target, member, of[0].text) }
}

func jsonMessage(version, target, member, value string) message {
	body, err := json.Marshal(map[string]string{member: value})
	if err != nil {
		panic("enrich: " + err.Error()) // texts always marshal
	}
	return message{
		method: http.MethodPost, target: "/", body: body,
		header: map[string]string{"Content-Type": "application/x-amz-json-" + version, "X-Amz-Target": target},
	}
}
