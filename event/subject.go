package event

import (
	"errors"
	"fmt"
	"strings"
)

// NoSession is the session token of events that come before an identity.
const NoSession = "none"

// ValidPrefix checks a subject prefix: 1 to 64 characters, words of letters,
// digits, `-` and `_` joined by dots, e.g. "sallyport" or "corp.sallyport".
func ValidPrefix(prefix string) error {
	bad := prefix == "" || len(prefix) > 64
	for word := range strings.SplitSeq(prefix, ".") {
		if word == "" || strings.HasPrefix(word, "_INBOX") {
			bad = true
		}
		for _, c := range []byte(word) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				bad = true
			}
		}
	}
	if bad {
		return fmt.Errorf("subject prefix %.80q: use words of letters, digits, - and _ joined by dots, at most 64 characters, e.g. sallyport", prefix)
	}
	return nil
}

// Subject is where an event is published:
// <prefix>.events.<session>.<exchange>.<kind>. Session and exchange are ULIDs
// that the gateway made, or session is "" for a refusal before an identity was
// known, or for a revocation. Nothing that a client sent can be in it: a dot, star or line break in a
// resource name would otherwise choose who receives the event, or end the NATS
// command and begin another.
func Subject(prefix, session, exchange string, kind Kind) (string, error) {
	if err := ValidPrefix(prefix); err != nil {
		return "", err
	}
	if newData(kind) == nil {
		return "", fmt.Errorf("subject: unknown kind %.40q", string(kind))
	}
	switch {
	case session == "" && kind.ofNone():
		session = NoSession
	case !ValidID(session):
		return "", fmt.Errorf("subject: session %.40q is not a ULID", session)
	}
	if !ValidID(exchange) {
		return "", fmt.Errorf("subject: exchange %.40q is not a ULID", exchange)
	}
	return prefix + ".events." + session + "." + exchange + "." + string(kind), nil
}

// SubjectOf is Subject for an event.
func SubjectOf(prefix string, e Event) (string, error) {
	return Subject(prefix, e.Session(), e.Exchange(), e.Kind())
}

// ParseSubject takes a subject apart; session is "none" where there is none.
// The kind may be one that this version does not know, of one or two words.
func ParseSubject(prefix, subject string) (session, exchange string, kind Kind, err error) {
	rest, ok := strings.CutPrefix(subject, prefix+".events.")
	if !ok {
		return "", "", "", fmt.Errorf("subject %.120q does not begin with %s.events", subject, prefix)
	}
	parts := strings.SplitN(rest, ".", 3)
	if len(parts) != 3 || parts[0] != NoSession && !ValidID(parts[0]) || !ValidID(parts[1]) {
		return "", "", "", fmt.Errorf("subject %.120q: want <session>.<exchange>.<kind> with ULIDs", subject)
	}
	if err := validKind(parts[2]); err != nil {
		return "", "", "", fmt.Errorf("subject %.120q: %w", subject, err)
	}
	return parts[0], parts[1], Kind(parts[2]), nil
}

func validKind(s string) error {
	if len(s) > 40 || strings.Count(s, ".") > 1 {
		return errors.New("kind has more than two words")
	}
	for word := range strings.SplitSeq(s, ".") {
		if word == "" {
			return errors.New("kind has an empty word")
		}
		for _, c := range []byte(word) {
			if c < 'a' || c > 'z' {
				return errors.New("kind is not of lower-case letters")
			}
		}
	}
	return nil
}
