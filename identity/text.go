package identity

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxNameBytes bounds a subject or a group.
const maxNameBytes = 256

// checkName says why s cannot be a subject or group name. Policy compares names
// byte for byte and people read them in approvals and records, so two names that
// look the same must be the same: no control, format or invisible characters
// ("admin" with a zero-width space behind it), no text direction marks, no space
// but the ASCII one and that not at an end, and only the composed form (NFC).
func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > maxNameBytes:
		return fmt.Errorf("it is longer than %d bytes", maxNameBytes)
	case !utf8.ValidString(s):
		return errors.New("it is not UTF-8")
	case strings.TrimSpace(s) != s:
		return errors.New("it begins or ends with a space")
	case !norm.NFC.IsNormalString(s):
		return errors.New("it is not in Unicode normal form C")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError ||
			unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return fmt.Errorf("it has the control or invisible character U+%04X", r)
		}
	}
	return nil
}
