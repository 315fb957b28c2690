package gateway_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// bodyOnRecord is what body events hold of one part of an exchange, checked against what
// the other events say of it.
func bodyOnRecord(t *testing.T, list []event.Event, part string) (string, *event.Recorded) {
	t.Helper()
	var told *event.Recorded
	var got bytes.Buffer
	pieces, after := 0, false
	for _, e := range list {
		switch d := e.Data.(type) {
		case *event.Request:
			if part == event.PartRequest {
				told = d.RequestBodyRecorded
			}
		case *event.Response:
			told, after = ofPart(part, told, d.RequestBodyRecorded, d.ResponseBodyRecorded), true
		case *event.Aborted:
			told, after = ofPart(part, told, d.RequestBodyRecorded, d.ResponseBodyRecorded), true
		case *event.Body:
			if d.Part != part {
				continue
			}
			if d.Index != pieces || d.Offset != int64(got.Len()) || after {
				t.Errorf("piece %d at %d stands where %d at %d should, behind the end: %v", d.Index, d.Offset, pieces, got.Len(), after)
			}
			pieces++
			got.Write(d.Payload())
		}
	}
	if told == nil {
		if pieces > 0 {
			t.Errorf("%d pieces of the %s that no event tells of", pieces, part)
		}
		return "", &event.Recorded{}
	}
	sum := sha256.Sum256(got.Bytes())
	if told.Pieces != pieces || told.Size != int64(got.Len()) || pieces > 0 && told.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: told are %+v, there are %d pieces with %d bytes", part, told, pieces, got.Len())
	}
	return got.String(), told
}

func ofPart(part string, judged, sent, passed *event.Recorded) *event.Recorded {
	switch {
	case part == event.PartResponse:
		return passed
	case sent != nil:
		return sent
	}
	return judged
}

// secretKey is what detectors find, bodyCanary what only a member's mark tells of.
const (
	secretKey  = plantedKey
	bodyCanary = "BODY-CANARY-77af"
)

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

const bodiesPolicy = `rules:
  - {name: all, who: {groups: [ai-agents]}, targets: ["*"], actions: ["*"], effect: allow, unmask: ["*"], allow_credentials: true, scope: action}
risk: {ask_at: 101, deny_at: 101}
`

// Bodies are on record as they are, but for what is secret in them, whatever the agent
// gets or sends. The agent has all of it, by a rule's unmask and mask.objects: pass.
func TestBodiesOnRecord(t *testing.T) {
	t.Parallel()
	filler := strings.Repeat("filler ", 60_000) // more than one piece
	object := "a " + secretKey + " b\n" + filler
	masked := strings.Replace(object, secretKey, "sallyport/masked****", 1)
	var answer string
	r, _ := newScripted(t, rigOptions{policy: bodiesPolicy}, func(w net.Conn, q *http.Request) bool { return say(answer, true)(w, q) })
	token := r.token()
	put := func(body string, header ...string) func(c *tunnel) answerOf {
		return func(c *tunnel) answerOf {
			return answerOf{http.MethodPut, c.request(http.MethodPut, "/acme-dev-reports/k", body, append(header, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")...)}
		}
	}
	get := func(c *tunnel) answerOf {
		return answerOf{http.MethodGet, c.request(http.MethodGet, "/acme-dev-reports/k", "")}
	}
	call := func(target, body string) func(c *tunnel) answerOf {
		return func(c *tunnel) answerOf {
			return answerOf{http.MethodPost, c.request(http.MethodPost, "/", body, jsonCall(target)...)}
		}
	}
	text := func(body string, header ...string) string { return whole("200 OK", "text/plain", body, header...) }
	const jsonType, xmlType = "application/x-amz-json-1.1", "text/xml"
	for name, test := range map[string]struct {
		host    string
		request func(c *tunnel) answerOf
		answer  string

		sent, passed               string // on record
		sentOmitted, passedOmitted string
		agent                      string // what it gets
	}{
		"object": {host: s3Host, request: get, answer: text(object), passed: masked, agent: object},
		"object in chunks": {host: s3Host, request: get, passed: masked, agent: object,
			answer: fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 10, object[:10], len(object)-10, object[10:])},
		"encoded object":    {host: s3Host, request: get, answer: text(zipped(object), "Content-Encoding: gzip"), passed: masked, agent: zipped(object)},
		"compressed object": {host: s3Host, request: get, answer: text(zipped(object)), passedOmitted: event.OmittedEncoded, agent: zipped(object)},
		"broken encoding":   {host: s3Host, request: get, answer: text("no gzip "+secretKey, "Content-Encoding: gzip"), passedOmitted: event.OmittedMasking, agent: "no gzip " + secretKey},
		"unknown encoding":  {host: s3Host, request: get, answer: text(object, "Content-Encoding: x-own"), passedOmitted: event.OmittedEncoded, agent: object},
		"secret": {host: secretsHost, request: call("secretsmanager.GetSecretValue", `{"SecretId":"a"}`), agent: bodyCanary,
			answer: whole("200 OK", jsonType, `{"Name":"n","SecretString":"`+bodyCanary+`"}`), passed: `{"Name":"n","SecretString":"sallyport/masked"}`},
		"secret in gzip": {host: secretsHost, request: call("secretsmanager.GetSecretValue", `{"SecretId":"a"}`), agent: bodyCanary,
			answer: whole("200 OK", jsonType, zipped(`{"Name":"n","SecretString":"`+bodyCanary+`"}`), "Content-Encoding: gzip"), passed: `{"Name":"n","SecretString":"sallyport/masked"}`},
		"xml": {host: ec2Host, request: func(c *tunnel) answerOf {
			return answerOf{http.MethodPost, c.request(http.MethodPost, "/", "Action=CreateKeyPair&Version=2016-11-15&KeyName=k", "Content-Type: application/x-www-form-urlencoded")}
		}, answer: whole("200 OK", xmlType, `<CreateKeyPairResponse><keyName>k</keyName><keyMaterial>`+bodyCanary+`</keyMaterial></CreateKeyPairResponse>`), agent: bodyCanary,
			passed: `<CreateKeyPairResponse><keyName>k</keyName><keyMaterial>sallyport/masked</keyMaterial></CreateKeyPairResponse>`},
		"upload":            {host: s3Host, request: put(object), answer: text(""), sent: masked},
		"empty upload":      {host: s3Host, request: put(""), answer: text("")},
		"encoded upload":    {host: s3Host, request: put(zipped(object), "Content-Encoding: gzip"), answer: text(""), sent: masked},
		"compressed upload": {host: s3Host, request: put(zipped(object)), answer: text(""), sentOmitted: event.OmittedEncoded},
		"part of an upload": {host: s3Host, answer: text(""), request: func(c *tunnel) answerOf {
			return answerOf{http.MethodPut, c.request(http.MethodPut, "/acme-dev-reports/k?partNumber=2&uploadId=u", object, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")}
		}, sent: strings.Repeat("*", 64<<10) + object[64<<10:len(object)-64<<10] + strings.Repeat("*", 64<<10)},
		"chunks": {host: s3Host, answer: text(""), sent: masked, request: func(c *tunnel) answerOf {
			return answerOf{http.MethodPut, c.upload(signedTrailer, len(object), chunks(signedTrailer, object), "Content-Encoding: aws-chunked")}
		}},
		"unsigned chunks": {host: s3Host, answer: text(""), sent: masked, request: func(c *tunnel) answerOf {
			return answerOf{http.MethodPut, inHTTPChunks(c.upload(unsignedTrailer, len(object), chunks(unsignedTrailer, object), "Content-Encoding: aws-chunked"))}
		}},
		"form": {host: bucketHost, answer: "HTTP/1.1 204 No Content\r\n\r\n", sent: masked, request: func(c *tunnel) answerOf {
			return answerOf{http.MethodPost, c.post("/", browserForm(t, "f", object, append(signedFields(formCredential), [2]string{"key", "forms/a"})...))}
		}},
		"sensitive payload": {host: lambdaHost, answer: whole("200 OK", "application/json", `"`+bodyCanary+`"`), agent: bodyCanary, sentOmitted: event.OmittedSensitive, passedOmitted: event.OmittedSensitive,
			request: func(c *tunnel) answerOf {
				return answerOf{http.MethodPost, c.request(http.MethodPost, invokeOK, `{"x":"`+bodyCanary+`"}`)}
			}},
		"long parameters": {host: dynamoHost, answer: whole("200 OK", jsonType, `{}`), passed: `{}`, agent: `{}`,
			request: call("DynamoDB_20120810.PutItem", `{"TableName":"Customers","Item":{"id":{"S":"<c>"},"note":{"S":"`+secretKey+` `+filler+`"}}}`),
			sent:    `{"Item":{"id":{"S":"<c>"},"note":{"S":"sallyport/masked ` + filler + `"}},"TableName":"Customers"}`},
		"long secret": {host: secretsHost, answer: whole("200 OK", jsonType, `{}`), passed: `{}`, agent: `{}`,
			request: call("secretsmanager.PutSecretValue", `{"SecretId":"`+strings.Repeat("i", 20_000)+`","SecretString":"`+bodyCanary+`"}`),
			sent:    `{"SecretId":"` + strings.Repeat("i", 20_000) + `","SecretString":"sallyport:masked"}`},
		"error": {host: s3Host, request: get, agent: "<Code>NoSuchKey</Code>", answer: whole("404 Not Found", "application/xml", `<Error><Code>NoSuchKey</Code><Key>`+secretKey+`</Key></Error>`),
			passed: `<Error><Code>NoSuchKey</Code><Key>sallyport/masked</Key></Error>`},
	} {
		answer = test.answer
		c := r.tunnel(t, test.host, token)
		q := test.request(c)
		a := c.raw(t, q.method, q.text)
		if a.reason() != "" || a.err != nil || a.StatusCode >= 500 || !strings.Contains(string(a.body), test.agent) {
			t.Errorf("%s: %d %s %v %.200q", name, a.StatusCode, a.reason(), a.err, a.body)
			continue
		}
		list := r.exchange(t, a.id())
		if got, told := bodyOnRecord(t, list, event.PartRequest); got != test.sent || told.Omitted != test.sentOmitted {
			t.Errorf("%s: of the request is on record %+v\n%s\nwant\n%s", name, told, ends(got), ends(test.sent))
		}
		got, told := bodyOnRecord(t, list, event.PartResponse)
		if got != test.passed || told.Omitted != test.passedOmitted {
			t.Errorf("%s: of the answer is on record %+v\n%s\nwant\n%s", name, told, ends(got), ends(test.passed))
		}
		// The digest is of what the agent got.
		sum := sha256.Sum256(a.body)
		if d := data[*event.Response](t, list); d.ResponseBody.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %+v is not of what the agent got", name, d.ResponseBody)
		}
	}
	all := recorded(t, r)
	for _, s := range []string{secretKey, bodyCanary, zipped(object)[:40]} {
		if i := bytes.Index(all, []byte(s)); i >= 0 {
			t.Errorf("on record: %q", all[max(0, i-80):i+40])
		}
	}
}

// answerOf is a request that is sent as it is.
type answerOf struct{ method, text string }

func ends(s string) string {
	if len(s) > 300 {
		return fmt.Sprintf("%q...%q (%d bytes)", s[:100], s[len(s)-100:], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// A part of an object may hold the half of a secret, which no detector knows: near the
// cuts nothing of it is on record, and the agent gets all.
func TestPartsOfObjectsOnRecord(t *testing.T) {
	object := strings.Repeat("x", 150_000) + " " + secretKey + " " + strings.Repeat("y", 150_000)
	at := strings.Index(object, secretKey) + 10
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool {
		if q.Header.Get("Range") == "bytes=0-1,5-6" {
			return say("HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=b\r\nContent-Length: 7\r\n\r\nseveral", true)(w, q)
		}
		var first, last int
		_, err := fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		must(t, err)
		return say(fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%s", first, last, len(object), last-first+1, object[first:last+1]), true)(w, q)
	})
	c := r.tunnel(t, s3Host, r.token())
	const near = 64 << 10
	for spec, want := range map[[2]int]string{
		{0, at - 1}:                         object[:at-near] + strings.Repeat("*", near),
		{at, len(object) - 1}:               strings.Repeat("*", near) + object[at+near:],
		{at, at + 99}:                       strings.Repeat("*", 100),
		{1, len(object) - 2}:                strings.Repeat("*", near) + object[1+near:at-10] + "sallyport/masked****" + object[at+10:len(object)-1-near] + strings.Repeat("*", near),
		{at, at + near + 10}:                strings.Repeat("*", near+11),
		{at - 2*near, at + near}:            "",
		{at - 2*near, at + 3000}:            "",
		{0, len(object) - 1}:                object[:at-10] + "sallyport/masked****" + object[at+10:],
		{len(object) - 10, len(object) - 1}: strings.Repeat("*", 10),
	} {
		a := c.do(t, http.MethodGet, "/acme-dev-reports/k", "", fmt.Sprintf("Range: bytes=%d-%d", spec[0], spec[1]))
		passed(t, a, http.StatusPartialContent)
		if string(a.body) != object[spec[0]:spec[1]+1] {
			t.Fatalf("%v: the agent gets %s", spec, ends(string(a.body)))
		}
		got, told := bodyOnRecord(t, r.exchange(t, a.id()), event.PartResponse)
		if want == "" { // whatever it is, it is as long, and has no half: see below
			if len(got) != len(a.body) || told.Omitted != "" {
				t.Errorf("%v: %+v %s", spec, told, ends(got))
			}
		} else if got != want || told.Omitted != "" {
			t.Errorf("%v: on record is %+v\n%s\nwant\n%s", spec, told, ends(got), ends(want))
		}
	}
	a := c.do(t, http.MethodGet, "/acme-dev-reports/k", "", "Range: bytes=0-1,5-6")
	passed(t, a, http.StatusPartialContent)
	if got, told := bodyOnRecord(t, r.exchange(t, a.id()), event.PartResponse); got != "" || told.Omitted != event.OmittedPart {
		t.Errorf("several parts: %+v %q", told, got)
	}
	all := recorded(t, r)
	for _, half := range []string{secretKey[:10], secretKey[10:]} {
		if bytes.Contains(all, []byte(half)) {
			t.Errorf("%s is on record", half)
		}
	}
}

// What is recorded ends at the limit of the rules, and the digest does not.
func TestBodyLimit(t *testing.T) {
	object := strings.Repeat("0123456789", 100_000)
	rule := func(record string) string {
		return `rules:
  - {name: all, who: {groups: [ai-agents]}, targets: ["*"], actions: ["s3:*", "dynamodb:*"], effect: allow` + record + "}\n"
	}
	for name, c := range map[string]struct {
		extra, rule string
		want        int
		omitted     string
	}{
		"default":         {"", "", len(object), ""},
		"limit":           {"record: {body_limit: 300KiB}", "", 300 << 10, event.OmittedLimit},
		"small limit":     {"record: {body_limit: 1B}", "", 1, event.OmittedLimit},
		"exact":           {fmt.Sprintf("record: {body_limit: %dB}", len(object)), "", len(object), ""},
		"none":            {"record: {body_limit: 0}", "", len(object), ""},
		"digest":          {"record: {bodies: digest}", "", 0, event.OmittedMode},
		"rule for more":   {"record: {bodies: digest}", ", record: {bodies: full}", len(object), ""},
		"rule for less":   {"", ", record: {bodies: digest}", 0, event.OmittedMode},
		"rule's limit":    {"", ", record: {body_limit: 10KiB}", 10 << 10, event.OmittedLimit},
		"rule's no limit": {"record: {body_limit: 1KiB}", ", record: {body_limit: 0}", len(object), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := newScripted(t, rigOptions{extra: c.extra, policy: rule(c.rule)}, func(w net.Conn, q *http.Request) bool {
				switch {
				case strings.HasPrefix(q.Host, "dynamodb"):
					return say(whole("200 OK", "application/x-amz-json-1.0", `{"x":"`+object[8:]+`"}`), true)(w, q)
				case q.Method == http.MethodPut:
					return say(whole("200 OK", "text/plain", ""), true)(w, q)
				}
				return say(whole("200 OK", "text/plain", object), true)(w, q)
			})
			s3, dynamo := r.tunnel(t, s3Host, r.token()), r.tunnel(t, dynamoHost, r.token())
			for part, a := range map[string]answer{
				"answer":   s3.do(t, http.MethodGet, "/acme-dev-reports/k", ""),
				"upload":   r.tunnel(t, s3Host, r.token()).do(t, http.MethodPut, "/acme-dev-reports/k", object, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"),
				"document": dynamo.getItem(t),
				"judged": r.tunnel(t, dynamoHost, r.token()).do(t, http.MethodPost, "/", `{"TableName":"Customers","Item":{"id":{"S":"c"},"n":{"S":"`+object[len(`{"Item":{"id":{"S":"c"},"n":{"S":""}},"TableName":"Customers"}`):]+`"}}}`,
					jsonCall("DynamoDB_20120810.PutItem")...),
			} {
				passed(t, a, http.StatusOK)
				list := r.exchange(t, a.id())
				of := event.PartResponse
				if part == "upload" || part == "judged" {
					of = event.PartRequest
				}
				got, told := bodyOnRecord(t, list, of)
				if len(got) != c.want || told.Omitted != c.omitted {
					t.Errorf("%s: %d bytes of %d, %+v; want %d", part, len(got), len(object), told, c.want)
				}
				if d := data[*event.Response](t, list); part == "answer" && d.ResponseBody.Size != int64(len(object)) || part == "upload" && d.RequestBody.Size != int64(len(object)) {
					t.Errorf("%s: %+v %+v", part, d.ResponseBody, d.RequestBody)
				}
			}
		})
	}
}

// A judged body is its parameters: in the request event where they fit there, and
// nowhere twice; and of what is denied nothing more is recorded.
func TestJudgedBodies(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	for _, test := range []struct {
		operation, note string
		status          int
		want            event.Recorded
	}{
		{"PutItem", "short", 200, event.Recorded{Form: event.FormParameters, ContentType: event.ParametersType}},
		{"PutItem", strings.Repeat("n", 16<<10), 200, event.Recorded{Form: event.FormParameters, ContentType: event.ParametersType}},
		{"DeleteItem", "short", 403, event.Recorded{Form: event.FormParameters, ContentType: event.ParametersType}},
		{"DeleteItem", strings.Repeat("n", 16<<10+1), 403, event.Recorded{Form: event.FormParameters, Omitted: event.OmittedDenied}},
	} {
		item := fmt.Sprintf(`{"id":{"S":"c-1"},"note":{"S":%q}}`, test.note)
		body := `{"TableName":"Customers","Item":` + item + `}`
		if test.operation == "DeleteItem" {
			body = `{"TableName":"Customers","Key":` + item + `}`
		}
		a := c.do(t, http.MethodPost, "/", body, jsonCall("DynamoDB_20120810."+test.operation)...)
		if a.StatusCode != test.status {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		list := r.exchange(t, a.id())
		d := data[*event.Request](t, list)
		if d.RequestBodyRecorded == nil || *d.RequestBodyRecorded != test.want {
			t.Errorf("%s of %d bytes: %+v, want %+v", test.operation, len(test.note), d.RequestBodyRecorded, test.want)
		}
		if params, _ := json.Marshal(d.RequestParameters); test.want.Omitted == "" && !strings.Contains(string(params), test.note) {
			t.Errorf("%s of %d bytes: the parameters are cut", test.operation, len(test.note))
		}
		if got, _ := bodyOnRecord(t, list, event.PartRequest); got != "" {
			t.Errorf("%s: %s", test.operation, ends(got))
		}
	}
}
