package awsapi

import (
	"slices"
	"strings"
)

// maskedParam stands for a secret parameter in a record.
const maskedParam = "sallyport:masked"

// secretNames are names of input members that hold secrets although some model
// does not mark them: a password that is sent to AWS must not be in the record.
// Compared in lower case, as parts of the name.
var secretNames = []string{"password", "passphrase", "secretstring", "secretbinary", "secretkey", "secretaccesskey", "privatekey", "accesstoken", "authtoken", "clientsecret",
	"sharedkey", "userdata", "credential", "authkey", "environmentvariable", "parametervalue", "importmanifesturl", "presigned"}

// RecordParams is a copy of Params for events and approvals: members that AWS
// marks sensitive, and those named like a secret, are replaced by
// "sallyport:masked". What goes to AWS is not touched.
func (c *Call) RecordParams() map[string]any {
	out, _ := redactNamed(c.Params()).(map[string]any)
	for _, m := range c.SensitiveInput() {
		if m.Member == "" && m.Path == "" { // the whole body
			return map[string]any{"body": maskedParam}
		}
		// What the model does not know is recorded by its name on the wire.
		for _, path := range []string{m.Member, m.Path, m.Param} {
			if path != "" {
				redactPath(out, strings.Split(path, "."))
			}
		}
	}
	return out
}

// redactNamed copies v, with the values of members named like secrets replaced.
func redactNamed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			lower := strings.ToLower(name)
			if slices.ContainsFunc(secretNames, func(s string) bool { return strings.Contains(lower, s) }) {
				out[name] = maskedParam
				continue
			}
			out[name] = redactNamed(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = redactNamed(value)
		}
		return out
	}
	return v
}

// redactPath replaces what lies at path in v, and everything below it. `*` is any
// element of a list or map.
func redactPath(v any, path []string) {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			if path[0] != "*" && path[0] != name {
				continue
			}
			if len(path) == 1 {
				v[name] = maskedParam
			} else {
				redactPath(v[name], path[1:])
			}
		}
	case []any:
		if path[0] != "*" { // a list that the path does not spell out
			for _, e := range v {
				redactPath(e, path)
			}
			return
		}
		for i := range v {
			if len(path) == 1 {
				v[i] = maskedParam
			} else {
				redactPath(v[i], path[1:])
			}
		}
	}
}
