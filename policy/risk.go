package policy

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/awsapi/class"
	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Risk is how much harm a call could do, 0 to 100, and why. It raises an allow to
// an ask or a deny and never lowers anything.
type Risk struct {
	Score   int
	Reasons []string // "destroys: +40", in the order in which they were added
}

// Thresholds are the `risk` section of a policy file. A score of at least AskAt
// makes an allow an ask, one of at least DenyAt a deny; 101 turns one off.
type Thresholds struct {
	AskAt     int       `yaml:"ask_at"`  // default 60
	DenyAt    int       `yaml:"deny_at"` // default 95
	Approvers Approvers `yaml:"approvers"`
	Enrich    bool      `yaml:"enrich"` // as a rule's, for what the risk asks for
}

var defaultThresholds = Thresholds{AskAt: 60, DenyAt: 95}

// The weights are judgements, set so that reading and ordinary writing pass, ending
// what runs or holds data asks, and what ends control is denied.
var (
	levelRisk = map[awsapi.AccessLevel]int{awsapi.List: 0, awsapi.Read: 5, awsapi.Tagging: 15, awsapi.Write: 20, awsapi.Permissions: 35}
	classRisk = map[awsapi.Class]int{
		class.HandsOutCredentials: 50, class.EscalatesPrivileges: 30, class.DisablesAudit: 45, class.OpensSession: 40,
		class.Destroys: 40, class.ExposesPublicly: 25, class.MovesDataOut: 20, class.ReadsSecrets: 30, class.PassesRole: 15,
	}
)

// An access level that nobody documents may be any.
const (
	unknownLevelRisk = 35
	furtherClass     = 5
	manyResources    = 10 // more than this many at once
	manyRisk         = 10
	wideRisk         = 10 // destroys, and the request does not say what exactly
	publicRisk       = 25
)

// Parts of reasons that RiskKinds reads.
const (
	furtherSuffix = " too"
	levelPrefix   = "access level "
)

// singleItems destroy one item of many, which is what writing data means; the
// resource that holds the items stays.
var singleItems = map[string]bool{
	"s3:DeleteObject": true, "s3:DeleteObjects": true, "s3:DeleteObjectTagging": true, "s3:AbortMultipartUpload": true,
	"dynamodb:DeleteItem": true, "dynamodb:BatchWriteItem": true, "dynamodb:TransactWriteItems": true, "dynamodb:ExecuteStatement": true,
	"dynamodb:BatchExecuteStatement": true, "dynamodb:ExecuteTransaction": true, "athena:StartQueryExecution": true,
	"rds-data:ExecuteStatement": true, "rds-data:BatchExecuteStatement": true, "redshift-data:ExecuteStatement": true, "redshift-data:BatchExecuteStatement": true,
}

// itemRisk is Destroys for singleItems.
const itemRisk = 15

// riskOf scores a call. Parameters count where they open something to everybody.
func riskOf(c *awsapi.Call) Risk {
	var r Risk
	add := func(n int, why string) {
		if n > 0 {
			r.Score = min(100, r.Score+n)
			r.Reasons = append(r.Reasons, why+": +"+strconv.Itoa(n))
		}
	}
	// The worst class counts whole: what is of several classes is not several times
	// as harmful.
	worst, most := awsapi.Class(""), 0
	destroys := false
	for _, k := range c.Classes {
		n := classRisk[k]
		if k == class.Destroys {
			destroys = true
			if singleItems[c.Service+":"+c.Operation] {
				n, destroys = itemRisk, false
			}
		}
		if n > most {
			worst, most = k, n
		}
	}
	add(most, string(worst))
	for _, k := range c.Classes {
		if k != worst {
			add(furtherClass, string(k)+furtherSuffix)
		}
	}
	if len(c.Actions) == 0 {
		if !c.Permissionless {
			add(unknownLevelRisk, levelPrefix+"unknown")
		}
		return r
	}
	primary := c.Actions[0]
	if n, ok := levelRisk[primary.Level]; ok {
		add(n, levelPrefix+string(primary.Level))
	} else {
		add(unknownLevelRisk, levelPrefix+"unknown")
	}
	if destroys && len(primary.Resources) > 0 && primary.Resources[0].Partial {
		add(wideRisk, "what it destroys is known only in part")
	}
	if len(primary.Resources) > manyResources {
		add(manyRisk, "more than "+strconv.Itoa(manyResources)+" resources")
	}
	if primary.Level != awsapi.Read && primary.Level != awsapi.List && opensToAll(c.Params(), 0) {
		add(publicRisk, "opens something to everybody")
	}
	return r
}

// opensToAll finds what means everybody in AWS: any address, public canned ACLs,
// the all-users groups, a resource policy with any principal.
func opensToAll(v any, depth int) bool {
	if depth > 32 {
		return true // nobody nests so deep without a reason to hide
	}
	switch v := v.(type) {
	case string:
		switch v {
		case "0.0.0.0/0", "::/0", "public-read", "public-read-write", "authenticated-read":
			return true
		}
		if strings.Contains(v, "acs.amazonaws.com/groups/global/A") { // AllUsers, AuthenticatedUsers
			return true
		}
		// A policy document: the text `"Principal":"*"` or {"AWS":"*"}, however spaced.
		if strings.Contains(v, "Principal") {
			flat := strings.Map(func(r rune) rune {
				if r == ' ' || r == '\n' || r == '\t' || r == '\r' {
					return -1
				}
				return r
			}, v)
			for _, open := range []string{`"Principal":"*"`, `"AWS":"*"`, `"AWS":["*"`, `"NotPrincipal"`} {
				if strings.Contains(flat, open) {
					return true
				}
			}
		}
	case map[string]any:
		for k, e := range v {
			if k == "Principal" && e == "*" || opensToAll(e, depth+1) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if opensToAll(e, depth+1) {
				return true
			}
		}
	}
	return false
}

func (t Thresholds) validate(d *strictyaml.Document) {
	for key, n := range map[string]int{"ask_at": t.AskAt, "deny_at": t.DenyAt} {
		if n < 1 || n > 101 {
			d.Errorf("risk."+key, "%d is not from 1 to 101; 101 turns it off", n)
		}
	}
	if t.Enrich && t.AskAt == 101 {
		d.Errorf("risk.enrich", "has a meaning only where the risk asks, and ask_at: 101 turns that off; remove it")
	}
}

// apply raises a decision.
func (t Thresholds) apply(d *Decision, n *need) {
	switch {
	case d.Effect == Deny:
	case d.Risk.Score >= t.DenyAt:
		d.Effect, d.Rules, d.Approvers, d.Enrich = Deny, nil, nil, false
		d.Mask, d.MaskAs, d.Unmask, d.Scope = nil, "", nil, ""
		d.Reason = tooRisky(n, d.Risk, t.DenyAt)
	case d.Risk.Score >= t.AskAt:
		if d.Effect == Allow {
			d.Effect = Ask
			d.Reason = asRisky(n, d.Risk, t.AskAt)
		}
		// Where a rule asks already and nobody is named here, the rule's people decide.
		if len(t.Approvers.Groups) > 0 || len(d.Approvers) == 0 {
			d.Approvers = append(d.Approvers, t.Approvers)
		}
		d.Enrich = d.Enrich || t.Enrich
	}
}
