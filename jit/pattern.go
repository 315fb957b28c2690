package jit

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/awsapi"
)

const (
	strict   = "StringEquals"
	ifExists = "StringEqualsIfExists"
)

// perimeterOperator says how aws:ResourceAccount is asked for. AWS leaves the key
// out for some actions (IAM User Guide, "aws:ResourceAccount"), and for those
// StringEquals would deny everything. So it is asked for only where it is the one
// thing that tells the owner: S3, whose ARNs name no account, whose buckets any
// account may open to us, and which always gives the key; and ARNs whose account
// is unknown. An ARN with an account id holds the perimeter by itself.
func perimeterOperator(r awsapi.Resource) string {
	f := strings.SplitN(r.ARN, ":", 6)
	if len(f) != 6 {
		return ifExists // "*": an action without resource types
	}
	if strings.Contains(f[4], "*") || f[4] == "" && strings.HasPrefix(f[2], "s3") {
		return strict
	}
	return ifExists
}

// pattern is a resource as IAM policy text, in pieces that must not be cut. `*`,
// `?` and `${` are a language there: an object key `a*` is one key in a request
// and all keys that begin with a in a policy. They are escaped as ${*}, ${?} and
// ${$}.
//
// A `*` is left as it is only where it is ours: the resource "*" of an action
// without resource types, and, in a Partial resource, a `*` that is a whole
// segment (between `:`, `/` and `-`), and a `-??????` at the
// end (Secrets Manager's random suffix). A request can bring such a text itself;
// policy has then judged the resource by its widest reading already.
//
// Characters that STS takes in no policy (outside U+0020 to U+00FF) and bytes
// that are no UTF-8 become `*`, each run of them one.
func pattern(r awsapi.Resource) []string {
	if r.ARN == "*" && (r.Type == "" || r.Partial) {
		return []string{"*"}
	}
	arn, tail := r.ARN, ""
	if r.Partial {
		if rest, ok := strings.CutSuffix(arn, "-??????"); ok {
			arn, tail = rest, "-??????"
		}
	}
	var out []string
	for i := 0; i < len(arn); {
		c, size := utf8.DecodeRuneInString(arn[i:])
		end := i + size
		switch {
		case c == utf8.RuneError && size == 1, c < 0x20, c > 0xFF:
			if len(out) == 0 || out[len(out)-1] != "*" {
				out = append(out, "*")
			}
		case c == '*' && r.Partial && boundary(arn, i-1) && boundary(arn, end):
			out = append(out, "*")
		case c == '*' || c == '?':
			out = append(out, "${"+string(c)+"}")
		case c == '$' && strings.HasPrefix(arn[end:], "{"):
			out = append(out, "${$}")
		default:
			out = append(out, arn[i:end])
		}
		i = end
	}
	if tail != "" {
		out = append(out, tail)
	}
	return out
}

// boundary reports whether position i of the ARN is a delimiter or outside it.
func boundary(arn string, i int) bool {
	return i < 0 || i >= len(arn) || arn[i] == ':' || arn[i] == '/' || arn[i] == '-'
}

// maxPrefix bounds a coarse resource, in characters.
const maxPrefix = 400

// coarser merges patterns that share a container: the ARN up to and with the
// first `/` or `:` of its resource part. Containers are never merged, so a
// coarse policy stays in the bucket or table that the call named.
func coarser(patterns [][]string) [][]string {
	var out [][]string
	containers := map[string]int{}
	for _, p := range patterns {
		head := container(p)
		key := strings.Join(p[:head], "")
		i, ok := containers[key]
		if !ok {
			containers[key] = len(out)
			out = append(out, bounded(p, head))
			continue
		}
		n := head
		for n < len(p) && n < len(out[i]) && p[n] == out[i][n] {
			n++
		}
		if n == len(p) && n == len(out[i]) {
			continue
		}
		out[i] = bounded(append(slices.Clone(p[:n]), "*"), head)
	}
	return out
}

func container(p []string) int {
	colons := 0
	for i, piece := range p {
		if colons >= 5 && (piece == "/" || piece == ":") {
			return i + 1
		}
		if piece == ":" {
			colons++
		}
	}
	return len(p)
}

// bounded cuts a pattern behind its container once it is long.
func bounded(p []string, head int) []string {
	length := 0
	for i, piece := range p {
		length += utf8.RuneCountInString(piece)
		if i >= head && length > maxPrefix {
			return append(slices.Clone(p[:i]), "*")
		}
	}
	return p
}
