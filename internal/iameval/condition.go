package iameval

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

type condition struct {
	set      string // "", ForAnyValue, ForAllValues
	operator string // without IfExists
	ifExists bool
	key      string // lower case
	values   []string
}

var operators = []string{
	"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
	"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals", "Bool", "Null",
}

func parseCondition(operator, key string, values []string) (condition, error) {
	c := condition{operator: operator, key: strings.ToLower(key), values: values}
	if set, rest, ok := strings.Cut(c.operator, ":"); ok {
		if set != "ForAnyValue" && set != "ForAllValues" {
			return c, fmt.Errorf("condition set operator %q", set)
		}
		c.set, c.operator = set, rest
	}
	c.operator, c.ifExists = strings.CutSuffix(c.operator, "IfExists")
	if !slices.Contains(operators, c.operator) || c.operator == "Null" && c.ifExists {
		return c, fmt.Errorf("condition operator %q is not known here", operator)
	}
	if len(values) == 0 || !strings.Contains(key, ":") {
		return c, fmt.Errorf("condition %s on %q wants a key and values", operator, key)
	}
	for _, v := range values {
		switch {
		case strings.HasPrefix(c.operator, "Date"):
			if _, err := date(v); err != nil { // "variables cannot be used with date operators"
				return c, fmt.Errorf("condition %s: %w", operator, err)
			}
		case c.operator == "Bool" || c.operator == "Null":
			if v != "true" && v != "false" {
				return c, fmt.Errorf("condition %s: %q", operator, v)
			}
		}
	}
	return c, nil
}

// date reads ISO 8601 as W3C NOTE-datetime has it, or seconds since 1970.
func date(v string) (time.Time, error) {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date", v)
}

// holds evaluates a condition. Several values of the policy are an OR; under a
// negated operator they are a NOR. A key that the context lacks fails a condition,
// but for IfExists, the negated operators, ForAllValues and Null.
func (c condition) holds(context map[string][]string) bool {
	have, present := context[c.key]
	present = present && len(have) > 0
	if c.operator == "Null" {
		return slices.Contains(c.values, strconv.FormatBool(!present))
	}
	negated := strings.Contains(c.operator, "Not")
	if !present {
		return c.ifExists || negated && c.set != "ForAnyValue" || c.set == "ForAllValues"
	}
	one := func(v string) bool {
		return slices.ContainsFunc(c.values, func(want string) bool { return c.compare(want, v, context) }) != negated
	}
	switch c.set {
	case "ForAnyValue":
		return slices.ContainsFunc(have, one)
	case "ForAllValues":
		return !slices.ContainsFunc(have, func(v string) bool { return !one(v) })
	}
	// Without a set operator a key has one value.
	return len(have) == 1 && one(have[0])
}

// compare is the operator without its Not.
func (c condition) compare(want, have string, context map[string][]string) bool {
	operator := strings.Replace(c.operator, "Not", "", 1)
	if strings.HasPrefix(operator, "Date") {
		w, errW := date(want)
		h, errH := date(have)
		if errW != nil || errH != nil {
			return false
		}
		// AWS compares dates to the second.
		order := h.Truncate(time.Second).Compare(w.Truncate(time.Second))
		switch operator {
		case "DateEquals":
			return order == 0
		case "DateLessThan":
			return order < 0
		case "DateLessThanEquals":
			return order <= 0
		case "DateGreaterThan":
			return order > 0
		}
		return order >= 0
	}
	if operator == "Bool" {
		return strings.EqualFold(want, have)
	}
	tokens, ok := expand(want, context, operator == "StringLike")
	if !ok {
		return false
	}
	if operator == "StringEqualsIgnoreCase" {
		var b strings.Builder
		for _, t := range tokens {
			b.WriteRune(t.char)
		}
		return strings.EqualFold(b.String(), have)
	}
	return matches(tokens, have)
}
