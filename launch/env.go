package launch

import (
	"net/url"
	"slices"
	"strings"
)

// Var is one variable of the agent's environment: set to Value, or removed.
type Var struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Unset bool   `json:"unset,omitempty"`
}

// Options say where the gateway is and which files to name. Empty fields leave
// the variables that need them alone, except where that would lead around the
// gateway.
type Options struct {
	ProxyURL string // of the Helper, or of the gateway with label and token in it
	Target   string // AWS target named by the placeholder key id; "" means DefaultTarget
	Region   string // "" means Region(parent)
	Files    Files
	Hide     []string // further variables to remove: those that tokens are made from
}

// loopbackOnly is the whole NO_PROXY: an inherited one could name AWS hosts.
const loopbackOnly = "localhost,127.0.0.1,::1"

// removed are variables by which clients find other credentials, other endpoints
// or other trust, and those by which an agent could mint tokens for itself.
var removed = []string{
	"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_FILE",
	"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_BEARER_TOKEN_BEDROCK", "AWS_ENDPOINT_URL",
	"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
	"SSL_CERT_DIR",
}

// removedPrefixes are families of such variables; those the parent has are removed.
var removedPrefixes = []string{"AWS_ENDPOINT_URL_", "AWS_BEARER_TOKEN_"}

// Environment gives the changes to parent ("NAME=value") that make a child's AWS
// clients use the gateway: first what is set, then what is removed, each by
// name. Every variable is set by force, since a parent's own value would win
// otherwise.
func Environment(o Options, parent []string) []Var {
	set := map[string]string{
		// The name of the target in the place of the key id is how a request says
		// which account it is for.
		"AWS_ACCESS_KEY_ID":     o.Target,
		"AWS_SECRET_ACCESS_KEY": placeholderSecret,
		// No instance role behind the gateway's back, and no endpoint from files.
		"AWS_EC2_METADATA_DISABLED":           "true",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
		"AWS_SDK_LOAD_CONFIG":                 "1",
	}
	if o.Target == "" {
		set["AWS_ACCESS_KEY_ID"] = DefaultTarget
	}
	if o.Region == "" {
		o.Region = Region(parent)
	}
	if o.Region != "" {
		set["AWS_REGION"], set["AWS_DEFAULT_REGION"] = o.Region, o.Region
	}
	if o.ProxyURL != "" {
		for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy", "grpc_proxy"} {
			set[name] = o.ProxyURL
		}
		set["NO_PROXY"], set["no_proxy"], set["no_grpc_proxy"] = loopbackOnly, loopbackOnly, loopbackOnly
		set["NODE_USE_ENV_PROXY"] = "1"
	}
	o.Files.environment(set)
	if hook := o.Files.NodeHook; hook != "" {
		set["NODE_OPTIONS"] = appendOption(lookup(parent, "NODE_OPTIONS"), "--require "+quoteIfSpaced(hook))
	}
	if java := javaOptions(o); java != "" {
		set["JAVA_TOOL_OPTIONS"] = appendOption(lookup(parent, "JAVA_TOOL_OPTIONS"), java)
	}

	gone := map[string]bool{}
	for _, name := range slices.Concat(removed, o.Hide) {
		gone[name] = true
	}
	for _, kv := range parent {
		name, _, _ := strings.Cut(kv, "=")
		for _, prefix := range removedPrefixes {
			if strings.HasPrefix(name, prefix) {
				gone[name] = true
			}
		}
	}
	var vars []Var
	for name, value := range set {
		if !gone[name] {
			vars = append(vars, Var{Name: name, Value: value})
		}
	}
	for name := range gone {
		vars = append(vars, Var{Name: name, Unset: true})
	}
	slices.SortFunc(vars, func(a, b Var) int {
		if a.Unset != b.Unset {
			if a.Unset {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return vars
}

// environment adds the variables that name files. Those of most clients replace
// their roots, so they get the bundle; Node's adds to its own.
func (f Files) environment(set map[string]string) {
	add := func(value string, names ...string) {
		for _, name := range names {
			if value != "" {
				set[name] = value
			}
		}
	}
	add(f.Bundle, "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
		"DENO_CERT", "CARGO_HTTP_CAINFO", "PIP_CERT", "npm_config_cafile")
	add(f.Root, "NODE_EXTRA_CA_CERTS")
	add(f.AWSConfig, "AWS_CONFIG_FILE")
	add(f.AWSCredentials, "AWS_SHARED_CREDENTIALS_FILE")
	if f.Bundle != "" {
		set["UV_NATIVE_TLS"], set["UV_SYSTEM_CERTS"] = "1", "1"
	}
}

// javaOptions are the system properties for Java, which reads no proxy variable.
// It never sends proxy credentials by itself, so it needs the Helper.
func javaOptions(o Options) string {
	var opts []string
	if u, err := url.Parse(o.ProxyURL); err == nil && u.Hostname() != "" {
		port := u.Port()
		if port == "" {
			port = map[string]string{"https": "443"}[u.Scheme]
		}
		if port == "" {
			port = "80"
		}
		for _, scheme := range []string{"http", "https"} {
			opts = append(opts, "-D"+scheme+".proxyHost="+u.Hostname(), "-D"+scheme+".proxyPort="+port)
		}
		opts = append(opts, "-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]")
	}
	if f := o.Files.TrustStore; f != "" {
		opts = append(opts, quoteIfSpaced("-Djavax.net.ssl.trustStore="+f),
			"-Djavax.net.ssl.trustStorePassword="+trustStorePassword, "-Djavax.net.ssl.trustStoreType=PKCS12")
	}
	return strings.Join(opts, " ")
}

// quoteIfSpaced quotes for NODE_OPTIONS and JAVA_TOOL_OPTIONS, which split at
// spaces and know double quotes.
func quoteIfSpaced(s string) string {
	if strings.ContainsAny(s, " \t") {
		return `"` + s + `"`
	}
	return s
}

// appendOption keeps what the parent had: these variables carry the user's own
// settings too. A run inside a run adds nothing twice.
func appendOption(before, option string) string {
	switch {
	case before == "":
		return option
	case strings.Contains(before, option):
		return before
	}
	return before + " " + option
}

// Apply makes the child's environment of parent and the changes. Names that
// appear twice in parent are set or removed everywhere: which of two counts
// depends on the reader.
func Apply(parent []string, vars []Var) []string {
	changed := map[string]bool{}
	for _, v := range vars {
		changed[v.Name] = true
	}
	var env []string
	for _, kv := range parent {
		if name, _, _ := strings.Cut(kv, "="); !changed[name] {
			env = append(env, kv)
		}
	}
	for _, v := range vars {
		if !v.Unset {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env
}

// lookup finds a variable; the last one counts, as for exec.
func lookup(env []string, name string) string {
	value := ""
	for _, kv := range env {
		if n, v, _ := strings.Cut(kv, "="); n == name {
			value = v
		}
	}
	return value
}
