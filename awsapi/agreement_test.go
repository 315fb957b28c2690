package awsapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
)

// forbidden never go on.
var forbidden = []string{"authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256", "x-amz-s3session-token", "x-amz-sso_bearer_token", "x-amz-bearer-token", "cookie", "forwarded", "via", "x-amzn-trace-id", "host",
	"connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "origin", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url", "x-evil", "x-amz-server-side-encryption-evil"}

var authParameter = regexp.MustCompile(`(?i)(^|&)(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token|Region-Set|S3session-Token|Content-Sha256)|AWSAccessKeyId|Signature)=`)

// disagreements says what is wrong with an accepted request: "kind: text".
func disagreements(id *awsapi.Identifier, readers []*reader, m *mutant, call *awsapi.Call) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	c := call.Canonical()
	if c.Method() != m.method || c.Host() != m.host {
		say("line: %s %s", c.Method(), c.Host())
	}
	target := c.RawPath()
	if c.RawQuery() != "" {
		target += "?" + c.RawQuery()
	}
	if target != unsigned(m.target()) {
		say("target: goes on as %s", target)
	}
	if authParameter.MatchString(c.RawQuery()) {
		say("authentication: %s goes on", c.RawQuery())
	}
	h := c.Header()
	for k, vs := range h {
		l := strings.ToLower(k)
		if slices.Contains(forbidden, l) || strings.HasPrefix(l, "proxy-") || strings.HasPrefix(l, "x-forwarded-") || strings.Contains(k, "_") {
			say("authentication: header %s goes on", k)
		}
		if len(vs) != 1 || !slices.Equal(vs, m.header[k]) {
			say("headers: %s goes on as %q", k, vs)
		}
		for _, v := range vs {
			if strings.Contains(v, "canary") || strings.Contains(v, "AKIAIOSFODNN7EXAMPLE") {
				say("authentication: header %s: %s", k, v)
			}
		}
	}
	body := c.Body()
	if !c.Streams() && !bytes.Equal(body, m.body) && len(body)+len(m.body) > 0 {
		// A compressed body may go on as it was read.
		z, err := gzip.NewReader(bytes.NewReader(m.body))
		var plain bytes.Buffer
		if err == nil {
			_, err = plain.ReadFrom(z)
		}
		if err != nil || !bytes.Equal(plain.Bytes(), body) || h.Get("Content-Encoding") != "" {
			say("body: %.200q goes on", body)
		}
	}
	out = append(out, replayed(id, call, m)...)
	name := call.Service + ":" + call.Operation
	w := wire{method: c.Method(), host: c.Host(), path: c.RawPath(), query: c.RawQuery(), header: h, body: body, streams: c.Streams(), signingName: c.SigningName(), as: name}
	said := append([]string{name}, call.Twins...)
	for _, r := range readers {
		got, err := r.read(w)
		switch {
		case err != nil:
			say("unread: %s: %v", r.name(), err)
		case len(got.operations) == 0 || slices.ContainsFunc(got.operations, func(o string) bool { return !slices.Contains(said, o) }):
			say("operation: %s reads %v", r.name(), got.operations)
		default:
			out = append(out, got.differences(call.Params())...)
		}
	}
	return out
}

// unsigned is a target without what a presigned URL has for its signature.
func unsigned(target string) string {
	path, query, ok := strings.Cut(target, "?")
	plain, err := url.PathUnescape(query)
	if !ok || err != nil || !authParameter.MatchString(plain) {
		return target
	}
	v2 := presignedV2.MatchString(plain)
	var keep []string
	for raw := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(raw, "=")
		part, _ := url.PathUnescape(name)
		part += "="
		if !authParameter.MatchString(part) && !(v2 && strings.HasPrefix(strings.ToLower(part), "expires=")) {
			keep = append(keep, raw)
		}
	}
	if len(keep) == 0 {
		return path
	}
	return path + "?" + strings.Join(keep, "&")
}

var presignedV2 = regexp.MustCompile(`(?i)(^|&)(AWSAccessKeyId|Signature)=`)

// differences says which parameters a reader has not read as they were judged.
func (u *under) differences(params map[string]any) []string {
	var out []string
	judged := map[string][]string{}
	for name, v := range params {
		if body, ok := u.text[name]; !ok {
			paramsOf(judged, name, v)
		} else if text, isText := v.(string); isText && text != string(body) && text != base64.StdEncoding.EncodeToString(body) {
			out = append(out, fmt.Sprintf("parameter: %s reads %s as %.200q, judged was %.200q", u.name(), name, body, text))
		} else if !isText {
			// A JSON document in a text, such as a policy, is judged as one.
			paramsOf(judged, name, v)
			if err := u.document(name, unknown, body, u.json); err != nil {
				out = append(out, fmt.Sprintf("parameter: %s cannot read %s: %v", u.name(), name, err))
			}
		}
	}
	paths := slices.Collect(maps.Keys(judged))
	for p := range u.params {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		a, b := slices.Sorted(slices.Values(judged[p])), slices.Sorted(slices.Values(u.params[p]))
		if !slices.Equal(a, b) {
			out = append(out, fmt.Sprintf("parameter: %s reads %s as %.300q, judged was %.300q", u.name(), p, b, a))
		}
	}
	return out
}

// paramsOf flattens a Call's parameters as the readers do theirs.
func paramsOf(out map[string][]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			paramsOf(out, below(path, k), e)
		}
	case []any:
		for _, e := range v {
			paramsOf(out, path, e)
		}
	case string:
		out[path] = append(out[path], v)
	case bool:
		out[path] = append(out[path], strconv.FormatBool(v))
	case json.Number:
		out[path] = append(out[path], v.String())
	}
}

// inOrder copies actions with their resources sorted. Their order has a test of
// its own.
func inOrder(list []awsapi.Action) []awsapi.Action {
	out := slices.Clone(list)
	for i := range out {
		out[i].Resources = slices.Clone(out[i].Resources)
		slices.SortFunc(out[i].Resources, func(a, b awsapi.Resource) int { return strings.Compare(a.ARN+" "+a.Type, b.ARN+" "+b.Type) })
	}
	return out
}

// replayed judges what would be sent once more: it must be the same call.
func replayed(id *awsapi.Identifier, call *awsapi.Call, m *mutant) []string {
	c := call.Canonical()
	h := c.Header()
	if strings.HasPrefix(m.header.Get("Authorization"), "AWS4-HMAC") {
		h.Set("Authorization", auth(call.SigningRegion, c.SigningName()))
	}
	if strings.HasPrefix(m.header.Get("Authorization"), "AWS4-ECDSA") {
		h.Set("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=dev/20260101/"+c.SigningName()+"/aws4_request, SignedHeaders=host, Signature=00")
		h.Set("X-Amz-Region-Set", call.SigningRegion)
	}
	if c.ContentSHA256() != "" {
		h.Set("X-Amz-Content-Sha256", c.ContentSHA256())
	}
	target := c.RawPath()
	if c.RawQuery() != "" {
		target += "?" + c.RawQuery()
	}
	again, err := identify(id, awsapi.Request{Method: c.Method(), Host: c.Host(), Target: target, Header: h, ContentLength: c.ContentLength(), Account: "111122223333"}, c.Body())
	if err != nil {
		return []string{"again: refused: " + err.Error()}
	}
	var out []string
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"service", call.Service, again.Service}, {"operation", call.Operation, again.Operation}, {"partition", call.Partition, again.Partition}, {"region", call.Region, again.Region},
		{"protocol", call.Protocol, again.Protocol}, {"actions", inOrder(call.Actions), inOrder(again.Actions)}, {"parameters", call.Params(), again.Params()}, {"twins", call.Twins, again.Twins}, {"classes", call.Classes, again.Classes},
		{"scope", [2]string{call.SigningName, call.SigningRegion}, [2]string{again.SigningName, again.SigningRegion}}, {"path", c.RawPath(), again.Canonical().RawPath()}, {"query", c.RawQuery(), again.Canonical().RawQuery()},
		{"headers", c.Header(), again.Canonical().Header()}, {"body", string(c.Body()), string(again.Canonical().Body())}, {"payload", c.Payload(), again.Canonical().Payload()},
	} {
		if !reflect.DeepEqual(f.a, f.b) {
			out = append(out, fmt.Sprintf("again: %s %.300v, then %.300v", f.name, f.a, f.b))
		}
	}
	return out
}
