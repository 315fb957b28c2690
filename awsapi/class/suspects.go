package class

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// Suspicion says that an operation looks as if it were of one of some classes.
type Suspicion struct {
	Service, Operation string
	Classes            []Class // any of them settles it
	Why                string
}

// clue is a mark by which operations are suspected.
type clue struct {
	classes []Class
	why     string
	finds   func(operation, level string, d *catalog.Detail) bool
}

// changes are the levels of operations that alter something. The zero level is
// that of operations whose level AWS does not say.
func changes(level string) bool {
	return level == "Write" || level == "Permissions management" || level == ""
}

// byName suspects changing operations by their name.
func byName(why, pattern string, classes ...Class) clue {
	re := regexp.MustCompile(pattern)
	return clue{classes, why, func(op, level string, _ *catalog.Detail) bool { return changes(level) && re.MatchString(op) }}
}

var clues = []clue{
	{[]Class{HandsOutCredentials}, "its answer holds an AWS key", func(_, _ string, d *catalog.Detail) bool {
		return secret(d, "aws-secret-access-key", "aws-session-token")
	}},
	{[]Class{HandsOutCredentials, ReadsSecrets, MovesDataOut}, "its answer holds a secret", func(_, _ string, d *catalog.Detail) bool {
		return secret(d)
	}},
	{[]Class{HandsOutCredentials, ReadsSecrets, MovesDataOut}, "its name speaks of credentials or signed URLs", func(op, _ string, _ *catalog.Detail) bool {
		return credentialName.MatchString(op)
	}},
	{[]Class{EscalatesPrivileges, ExposesPublicly, DisablesAudit}, "AWS calls it permissions management", func(_, level string, _ *catalog.Detail) bool {
		return level == "Permissions management"
	}},
	{[]Class{PassesRole}, "AWS documents iam:PassRole for it", func(_, _ string, d *catalog.Detail) bool {
		return slices.ContainsFunc(d.IAM, func(a catalog.Action) bool { return a.Action == "iam:PassRole" })
	}},
	byName("its name speaks of a policy, a grant or sharing",
		`^(Put|Add|Set|Create|Update|Attach|Modify|Authorize|Associate|Share|Enable|Grant)\w*(Policy|Policies|Permissions?|Acl|Share|Grant|PublicAccess\w*|Ingress)$`,
		EscalatesPrivileges, ExposesPublicly, DisablesAudit, Destroys),
	byName("its name speaks of carrying data", `^(Copy|Export|StartExport|CreateExport|Replicate|Send\w*(Message|Email|Messages)$|Publish$|Subscribe$|Create\w*ExportJob|Start\w*Export)`, MovesDataOut),
	byName("its name ends what watches", `^(Delete|Stop|Disable|Update|Put)\w*(Logging|FlowLogs?|LoggingConfiguration|Trail|Detector|Recorder|AuditConfiguration)$`, DisablesAudit),
	byName("its name speaks of a shell or a console", `^(Start|Open|Resume|Connect|Execute)(\w*(Session|Tunnel|Terminal|Shell|Interpreter\w*)|Command)$`, OpensSession),
	byName("its verb ends something", `^(Delete|Terminate|Purge|Destroy|Drop|Truncate|Wipe|Decommission|Release|Flush|Evict|Empty|Discard|Forget|Close|Schedule\w*Deletion)`, Destroys),
}

var credentialName = regexp.MustCompile(`^(Create|Get|Generate|Reset|Assume|Import|Upload|Register|Export|Issue|Retrieve|Rotate|Download|AdminSet|Set)\w*(Credentials?|Presigned\w*|AuthToken|AccessToken|AuthorizationToken|Password|EmbedUrl\w*|StreamingUR[Ll]|LoginUrl|DownloadUrl\w*|AccessKeys?|KeyPair|SSHPublicKey|ApiKeys?|APIKeys?|SessionToken|FederationToken)$|^AssumeRole`)

// secret reports that an answer has a secret of one of the kinds, or of any.
func secret(d *catalog.Detail, kinds ...string) bool {
	for _, list := range d.SecretOutput {
		for _, m := range list {
			if len(kinds) == 0 || slices.Contains(kinds, m.Kind) {
				return true
			}
		}
	}
	return false
}

// Suspects returns why an operation of the catalog looks as if it were of a class
// that no table gives it and no reviewed excuse denies: what a reviewer has to
// look at when AWS adds operations. It goes by names, levels, IAM rows and the
// secrets of the answer; the catalog holds no other output members.
func Suspects(service, operation string, d *catalog.Detail) []Suspicion {
	level := ""
	if len(d.IAM) > 0 {
		level = d.IAM[0].Level
	}
	have := Of(service, operation)
	var out []Suspicion
	for _, c := range clues {
		if !c.finds(operation, level, d) || slices.ContainsFunc(c.classes, func(k Class) bool { return slices.Contains(have, k) || excused(k, service, operation) }) {
			continue
		}
		out = append(out, Suspicion{service, operation, c.classes, c.why})
	}
	return out
}

// excused reports that a reviewer found the operation not to be of the class.
func excused(c Class, service, operation string) bool {
	if c == Destroys && Harmless(service, operation) != "" {
		return true
	}
	return notSo[c].reason(service, operation) != ""
}

// String is a sentence for reports.
func (s Suspicion) String() string {
	words := make([]string, len(s.Classes))
	for i, c := range s.Classes {
		words[i] = string(c)
	}
	return s.Service + ":" + s.Operation + " may be " + strings.Join(words, " or ") + ": " + s.Why
}
