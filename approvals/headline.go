package approvals

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

// maxShort is how much of one name a headline has.
const maxShort = 64

// headline says what would be done and where: "terminate 3 instances in account
// 111122223333 (dev), eu-west-1".
func headline(r Request) string {
	return strings.TrimSuffix(what(r)+r.tagged()+where(r), ",")
}

func what(r Request) string {
	p, known := phrases[r.Service+":"+r.Operation]
	if !known {
		return generic(r)
	}
	if p.count != "" {
		switch n := number(r.Parameters[p.count]); {
		case n == 1:
			return p.verb + " 1 " + p.noun
		case n > 1:
			return fmt.Sprintf("%s up to %d %s", p.verb, n, p.plural())
		}
		return p.verb + " " + p.plural()
	}
	var of []event.Resource
	for _, res := range r.Resources {
		if res.Type == p.kind {
			of = append(of, res)
		}
	}
	switch {
	case r.ResourcesOmitted > 0:
		return fmt.Sprintf("%s %d or more %s", p.verb, max(len(of), 1), p.plural())
	case len(of) == 1 && strings.ContainsAny(of[0].ARN, "*?"):
		return fmt.Sprintf("%s any %s like %s", p.verb, p.noun, short(of[0].ARN))
	case len(of) == 1:
		return fmt.Sprintf("%s %s %s", p.verb, p.noun, r.known(of[0].ARN))
	case len(of) > 1 && patterns(of):
		return fmt.Sprintf("%s any of %d kinds of %s", p.verb, len(of), p.plural())
	case len(of) > 1:
		return fmt.Sprintf("%s %d %s", p.verb, len(of), p.plural()) + r.names(of)
	}
	return p.verb + " " + p.plural() // which ones is not known: it may be many
}

// generic makes words of the operation's name: PutBucketLogging is "put bucket
// logging (s3)".
func generic(r Request) string {
	out := words(r.Operation) + " (" + ours(r.Service) + ")"
	switch n := len(r.Resources) + r.ResourcesOmitted; {
	case n == 0:
	case n > 1 || len(r.Resources) == 0:
		out += fmt.Sprintf(" on %d resources", n)
	case r.Resources[0].ARN == "*":
		out += " on any resource"
	case patterns(r.Resources):
		out += " on any resource like " + short(r.Resources[0].ARN)
	default:
		out += " on " + r.known(r.Resources[0].ARN)
	}
	return out
}

func patterns(of []event.Resource) bool {
	for _, res := range of {
		if strings.ContainsAny(res.ARN, "*?") {
			return true
		}
	}
	return false
}

// words takes CamelCase apart: DeleteDBInstance is "delete DB instance". What is
// no such name is quoted.
func words(operation string) string {
	if member(operation) != operation {
		return "do " + terminal.Quote(operation, maxShort)
	}
	runes := []rune(operation)
	var b strings.Builder
	for i, c := range runes {
		upper := unicode.IsUpper(c)
		begins := upper && (i > 0 && !unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if i > 0 && begins {
			b.WriteByte(' ')
		}
		acronym := i+1 < len(runes) && unicode.IsUpper(runes[i+1]) || i+1 == len(runes) && i > 0 && unicode.IsUpper(runes[i-1])
		if upper && begins && !acronym {
			c = unicode.ToLower(c)
		}
		if i == 0 && !acronym {
			c = unicode.ToLower(c)
		}
		b.WriteRune(c)
	}
	return b.String()
}

func where(r Request) string {
	var out string
	switch {
	case r.Account != "" && r.Target != "":
		out = " in account " + ours(r.Account) + " (" + ours(r.Target) + ")"
	case r.Account != "":
		out = " in account " + ours(r.Account)
	case r.Target != "":
		out = " in target " + ours(r.Target)
	}
	if r.Region != "" {
		out += ", " + ours(r.Region)
	}
	return out
}

// short is the end of an ARN that names the thing, quoted: i-0abc of
// arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc. A path stays whole, as its
// end alone can mislead.
func short(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) == 6 {
		arn = parts[5]
		if parts[2] != "s3" { // an object's key is no type
			if i := strings.IndexAny(arn, "/:"); i >= 0 && i+1 < len(arn) {
				arn = arn[i+1:]
			}
		}
	}
	return terminal.QuoteEnds(arn, maxShort)
}

// number is a positive whole number as JSON or a form has it; 0 is none.
func number(v any) int64 {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		s = strconv.FormatInt(v, 10)
	case int:
		s = strconv.Itoa(v)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
