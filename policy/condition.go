package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Bounds of one expression. The cost is CEL's own measure, about one per step; a
// comprehension over the parameters of a large request ends there.
const (
	maxExpression = 2048
	maxCost       = 20_000
)

// environment declares what an expression may name. The names with a dot are
// declared whole, so that a misspelt who.subjct is an error when the file is
// loaded and not a refusal later.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	text, list := cel.StringType, cel.ListType(cel.StringType)
	return cel.NewEnv(
		cel.Variable("who.issuer", text), cel.Variable("who.subject", text), cel.Variable("who.groups", list),
		cel.Variable("session", text), cel.Variable("target", text),
		cel.Variable("service", text), cel.Variable("operation", text),
		cel.Variable("action", text), cel.Variable("access", text),
		cel.Variable("resources", list), cel.Variable("region", text), cel.Variable("classes", list),
		cel.Variable("params", cel.MapType(text, cel.DynType)),
		cel.Variable("request.method", text), cel.Variable("request.host", text), cel.Variable("request.path", text),
		cel.Variable("request.length", cel.IntType),
		cel.Variable("now", cel.TimestampType), cel.Variable("risk", cel.IntType),
		cel.OptionalTypes(), cel.CrossTypeNumericComparisons(true), cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(64),
	)
})

// condition is a rule's `when`, compiled. The zero value is no condition.
type condition struct {
	program cel.Program
}

// compile checks an expression. The position in the error is within it, from 1.
func compile(text string) (condition, error) {
	if strings.TrimSpace(text) == "" {
		return condition{}, errors.New("the expression is empty; remove the key when, or write a CEL expression such as params.InstanceType == 't3.micro'")
	}
	if len(text) > maxExpression {
		return condition{}, fmt.Errorf("the expression is longer than %d characters", maxExpression)
	}
	env, err := environment()
	if err != nil {
		return condition{}, err
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return condition{}, errors.New(strings.Join(all, "; "))
	}
	if ast.OutputType() != cel.BoolType {
		return condition{}, fmt.Errorf("the expression gives %s, not true or false; compare it with something", ast.OutputType())
	}
	p, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return condition{}, err
	}
	return condition{program: p}, nil
}

// errCondition is what an agent is told of an expression that could not be
// evaluated. CEL's own words may quote parameters, so only their kind is passed on.
type errCondition string

func (e errCondition) Error() string { return string(e) }

// holds evaluates the condition. An error is neither true nor false.
func (c condition) holds(vars map[string]any) (bool, error) {
	if c.program == nil {
		return true, nil
	}
	out, _, err := c.program.Eval(vars)
	if err != nil {
		switch text := err.Error(); {
		case strings.Contains(text, "no such key"), strings.Contains(text, "no such attribute"):
			return false, errCondition("it names a parameter that the request does not have; write has(params.NAME) && ... or params.?NAME.orValue(...)")
		case strings.Contains(text, "no such overload"):
			return false, errCondition("it compares values of different kinds; parameters have the types of the API: numbers and true or false as such, times as RFC 3339 text: timestamp(params.NAME)")
		case strings.Contains(text, "cost limit"):
			return false, errCondition("it takes too many steps for this request")
		}
		return false, errCondition("it fails for this request")
	}
	return out == types.True, nil
}

// variables are what the expressions of one question see.
func (in *Input) variables(risk Risk) map[string]any {
	c := in.Call
	v := map[string]any{
		"who.issuer": in.Issuer, "who.subject": in.Subject, "who.groups": in.Groups,
		"session": in.Session, "target": in.Target, "service": c.Service, "operation": c.Operation,
		"action": c.Service + ":" + c.Operation, "access": "", "region": c.Region, "now": in.Now, "risk": risk.Score,
		"params": celValue(c.Params()),
	}
	if in.Now.IsZero() {
		v["now"] = time.Now()
	}
	if len(c.Actions) > 0 {
		v["action"], v["access"] = c.Actions[0].Name, string(c.Actions[0].Level)
	}
	resources, classes := []string{}, []string{}
	for _, a := range c.Actions {
		for _, r := range a.Resources {
			resources = append(resources, r.ARN)
		}
	}
	for _, k := range c.Classes {
		classes = append(classes, string(k))
	}
	v["resources"], v["classes"] = resources, classes
	canonical := c.Canonical()
	v["request.method"], v["request.host"], v["request.path"] = canonical.Method(), canonical.Host(), canonical.RawPath()
	v["request.length"] = canonical.DataLength()
	return v
}

// celValue turns a parameter into what CEL computes with: exact integers stay
// integers, other numbers are doubles.
func celValue(v any) any {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = celValue(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = celValue(e)
		}
		return out
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil && !math.IsInf(f, 0) {
			return f
		}
		return v.String()
	case ref.Val, string, bool, int64, float64, int:
		return v
	}
	return reflect.ValueOf(v).String() // no reader makes others
}
