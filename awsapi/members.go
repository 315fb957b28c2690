package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// nicknames are members that AWS calls otherwise than the variable of the ARN
// they go into.
var nicknames = map[string]map[string][]string{
	// A copy reads one snapshot and makes another.
	"rds": {
		"SnapshotName":        {"SourceDBSnapshotIdentifier", "TargetDBSnapshotIdentifier"},
		"ClusterSnapshotName": {"SourceDBClusterSnapshotIdentifier", "TargetDBClusterSnapshotIdentifier"},
		"DbInstanceName":      {"DBInstanceIdentifier"},
	},
	"ec2": {
		"SecurityGroupId": {"GroupId", "GroupIds", "SecurityGroupIds", "Groups"}, "AllocationId": {"AllocationIds"},
		"DhcpOptionsId": {"DhcpOptionsIds"}, "NetworkInterfaceId": {"NetworkInterfaceIds"}, "NaclId": {"NetworkAclId"},
	},
	"cloudwatch":  {"MetricStreamName": {"Name", "Names"}, "InsightRuleName": {"RuleName", "RuleNames"}},
	"autoscaling": {"GroupFriendlyName": {"AutoScalingGroupName", "AutoScalingGroupNames"}},
	"emr":         {"ClusterId": {"JobFlowId", "JobFlowIds"}},
	"iam":         {"MfaTokenIdWithPath": {"SerialNumber"}, "MfaTokenId": {"SerialNumber"}},
}

// membersNamed are the input's own members that can hold an ARN's variable, by
// their names, for where the operation map binds none: AlarmNames for AlarmName, id
// for CampaignId. A wrong guess cannot widen anything: the credential is made for
// the resource that was guessed, and AWS refuses it for another. All members that
// fit are taken together, so a second spelling cannot hide the first.
func membersNamed(m match, variable, arn, typ string, only bool, members []catalog.ShapeMember) []string {
	wants := wantedNames(variable, arn, typ, only, creates(m.op.Name))
	for _, n := range nicknames[m.svc.ID][variable] {
		wants = append(wants, squash(n))
	}
	var out []string
	for i := range members {
		if slices.Contains(wants, squash(members[i].Name)) {
			out = append(out, members[i].Name)
		}
	}
	slices.Sort(out)
	return out
}

// creates reports an operation that makes what it is done to, so an id in its
// input is another's and its own is not known yet.
func creates(operation string) bool {
	for _, verb := range []string{"Create", "Run", "Request", "Allocate", "Import", "Copy", "Start", "Register", "Restore"} {
		if strings.HasPrefix(operation, verb) {
			return true
		}
	}
	return false
}

// wantedNames are the squashed member names that can hold the variable. An id is
// never taken from a name nor a name from an id: many resources have both.
func wantedNames(name, arn, typ string, only, creates bool) []string {
	stem, kind := stemOf(squash(name))
	suffixes := []string{kind}
	switch kind {
	case "id", "name":
		suffixes = append(suffixes, "identifier", "arn")
	case "identifier":
		suffixes = append(suffixes, "id", "arn")
	case "":
		if !creates {
			suffixes = append(suffixes, "id", "name", "identifier", "arn")
		}
	}
	stems := []string{stem}
	if ownVariables(arn) == 1 {
		stems = append(stems, squash(typ))
		if only && (!creates || kind == "name") {
			stems = append(stems, "")
		}
	}
	var out []string
	for _, s := range stems {
		for _, x := range suffixes {
			if s+x != "" && (s != "" || x != "arn") {
				out = append(out, s+x, s+x+"s")
			}
		}
	}
	if slices.Contains(stems, "") {
		out = append(out, "arn", "resourcearn")
	}
	return out
}

// ownVariables counts a template's variables other than partition, region and
// account.
func ownVariables(template string) int {
	n := 0
	for _, p := range templateOf(template).parts {
		if !isStandard(p.name) {
			n++
		}
	}
	return n
}

// squash makes resource-set, ResourceSet and resource_set one.
func squash(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
}

// stemOf splits alarmname into alarm and name.
func stemOf(s string) (stem, kind string) {
	for _, k := range []string{"identifier", "id", "name"} {
		if stem, ok := strings.CutSuffix(s, k); ok {
			return stem, k
		}
	}
	return s, ""
}
