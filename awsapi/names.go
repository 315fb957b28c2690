package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// asStored turns names into the form in which AWS puts them into ARNs: RDS and
// ElastiCache store identifiers in lower case ("DBInstanceIdentifier"), Route 53
// takes ids with the path in front, as its own answers give them. A rule that
// denies db:prod would otherwise not meet db:PROD.
func asStored(service, variable string, values []string) []string {
	out := values
	if slices.Contains([]string{"rds", "docdb", "neptune", "elasticache", "route53", "ecs"}, service) {
		out = slices.Clone(values)
	}
	for i, v := range out {
		switch service {
		case "rds", "docdb", "neptune", "elasticache":
			if !strings.HasPrefix(v, "arn:") {
				out[i] = strings.ToLower(v)
			}
		case "route53":
			if variable == "Id" {
				out[i] = v[strings.LastIndexByte(v, '/')+1:]
			}
		case "ecs":
			// A task or service may be named with its cluster: cluster/id.
			if variable != "ClusterName" {
				out[i] = v[strings.LastIndexByte(v, '/')+1:]
			}
		}
	}
	if service == "ecs" && variable == "ClusterName" && len(out) == 0 {
		return []string{"default"} // ECS API: "If you do not specify a cluster, the default cluster is assumed"
	}
	return out
}

// function reads Lambda's forms of a function's name: name, name:qualifier,
// 111122223333:function:name and the whole ARN, each with the qualifier in the
// text or in Qualifier. Where there is one, both the function and the version or
// alias are what the call is done to.
func (r *resolver) function(row *catalog.Action) []Resource {
	if typeName(row) != "function" {
		return nil
	}
	var out []Resource
	for _, v := range r.values("FunctionName") {
		region, account := r.call.Region, r.account()
		if f := strings.SplitN(v, ":", 7); len(f) == 7 && f[0] == "arn" {
			if f[1] != r.call.Partition || f[2] != "lambda" || f[5] != "function" {
				return []Resource{{ARN: "*", Type: "function", Partial: true}}
			}
			region, account, v = f[3], f[4], f[6]
		} else if f := strings.SplitN(v, ":", 3); len(f) == 3 && isAccount(f[0]) && f[1] == "function" {
			account, v = f[0], f[2]
		}
		name, qualifier, _ := strings.Cut(v, ":")
		if name == "" || strings.Contains(qualifier, ":") {
			return []Resource{{ARN: "*", Type: "function", Partial: true}}
		}
		missing := account == ""
		if missing {
			account = "*"
			r.wildcard(v)
		}
		arn := "arn:" + r.call.Partition + ":lambda:" + region + ":" + account + ":function:" + name
		out = append(out, r.resource(arn, "function", missing))
		qualifiers := r.values("Qualifier")
		if qualifier != "" && !slices.Contains(qualifiers, qualifier) {
			qualifiers = append(qualifiers, qualifier)
		}
		for _, q := range qualifiers {
			out = append(out, r.resource(arn+":"+q, "function", missing))
		}
	}
	return out
}

// rule reads EventBridge's rules: on the default bus, which may be named or not,
// they have no bus in their ARN, and a bus may be given by its ARN.
func (r *resolver) rule(row *catalog.Action) []Resource {
	if !slices.ContainsFunc(row.Resources, func(t catalog.ResourceType) bool { return strings.HasPrefix(t.Name, "rule-on-") }) {
		return nil
	}
	names := append(r.values("Rule"), r.values("Name")...)
	region, account, bus := r.call.Region, r.account(), ""
	for _, v := range r.values("EventBusName") {
		bus = v
		if f := strings.SplitN(v, ":", 6); len(f) == 6 && f[0] == "arn" {
			region, account = f[3], f[4]
			_, bus, _ = strings.Cut(f[5], "/")
		}
	}
	if bus == "default" {
		bus = ""
	}
	missing := account == ""
	if missing {
		account = "*"
	}
	var out []Resource
	for _, name := range names {
		kind, path := "rule-on-default-event-bus", name
		if bus != "" {
			kind, path = "rule-on-custom-event-bus", bus+"/"+name
		}
		if missing {
			r.wildcard(path)
		}
		out = append(out, r.resource("arn:"+r.call.Partition+":events:"+region+":"+account+":rule/"+path, kind, missing))
	}
	return out
}

// taskDefinition: family means its newest revision, family:3 one of them.
func (r *resolver) taskDefinition(row *catalog.Action) []Resource {
	if typeName(row) != "task-definition" {
		return nil
	}
	var out []Resource
	for _, v := range r.values("taskDefinition") {
		if strings.HasPrefix(v, "arn:") {
			return nil
		}
		account, newest := r.account(), ""
		partial := account == ""
		if partial {
			account = "*"
		}
		if !strings.Contains(v, ":") {
			partial, newest = true, ":*"
		}
		if partial {
			r.wildcard(v)
		}
		out = append(out, r.resource("arn:"+r.call.Partition+":ecs:"+r.call.Region+":"+account+":task-definition/"+v+newest, "task-definition", partial))
	}
	return out
}

// inside are actions that a call needs on what it names and that its own row in
// AWS's reference leaves to the text: BatchGetSecretValue needs GetSecretValue on
// each secret. A rule that denies the secret has to meet the batch too.
func (r *resolver) inside() []Action {
	if r.call.Service != "secretsmanager" || r.call.Operation != "BatchGetSecretValue" {
		return nil
	}
	secrets := r.secret(&catalog.Action{Resources: []catalog.ResourceType{{Name: "Secret"}}})
	if len(secrets) == 0 { // by filters: whichever secrets have them
		account := r.account()
		if account == "" {
			account = "*"
		}
		secrets = []Resource{r.resource("arn:"+r.call.Partition+":secretsmanager:"+r.call.Region+":"+account+":secret:*", "Secret", true)}
	}
	return []Action{{Name: "secretsmanager:GetSecretValue", Level: Read, Resources: secrets}}
}
