package enrich

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

func instance(i int) string {
	return fmt.Sprintf("arn:aws:ec2:us-east-1:111122223333:instance/i-0abc1234%08x", i)
}

func many(n int, f func(int) string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

func TestReads(t *testing.T) {
	ids := identifier(t)
	const rds = "arn:aws:rds:us-east-1:111122223333:db:"
	for name, test := range map[string]struct {
		arns   []string
		reads  []string // operation and how many subjects
		unread int
	}{
		"one":                         {[]string{instance(1)}, []string{"DescribeTags 1"}, 0},
		"the same twice":              {[]string{instance(1), instance(1)}, []string{"DescribeTags 1"}, 0},
		"many instances":              {many(50, instance), []string{"DescribeTags 10"}, 40},
		"many databases":              {many(12, func(i int) string { return rds + fmt.Sprint("d", i) }), many(10, func(int) string { return "ListTagsForResource 1" }), 2},
		"a thousand objects":          {many(1000, func(i int) string { return fmt.Sprint("arn:aws:s3:::acme/", i, strings.Repeat("/x", 600)) }), []string{"GetBucketTagging 1"}, 0},
		"two regions":                 {[]string{instance(1), strings.Replace(instance(2), "us-east-1", "eu-west-1", 1)}, []string{"DescribeTags 1", "DescribeTags 1"}, 0},
		"of all kinds":                {[]string{instance(1), rds + "x", "arn:aws:s3:::acme", "arn:aws:iam::111122223333:role/a/b"}, []string{"DescribeTags 1", "ListTagsForResource 1", "GetBucketTagging 1"}, 1},
		"a role in another partition": {[]string{"arn:aws-cn:iam::111122223333:role/a"}, nil, 0},
		"any":                         {[]string{"*"}, nil, 0},
		"known in part":               {[]string{"arn:aws:ec2:us-east-1:111122223333:instance/*", "arn:aws:rds:us-east-1:111122223333:db:?"}, nil, 0},
		"AWS's own":                   {[]string{"arn:aws:iam::aws:policy/AdministratorAccess"}, nil, 0},
		"of an unknown service":       {[]string{"arn:aws:athena:us-east-1:111122223333:workgroup/x"}, nil, 1},
		"no id of EC2's":              {[]string{"arn:aws:ec2:us-east-1:111122223333:key-pair/ann", "arn:aws:ec2:us-east-1:111122223333:instance/i-0ABC"}, nil, 2},
		"an access point":             {[]string{"arn:aws:s3:us-east-1:111122223333:accesspoint/x"}, nil, 1},
		"a version of a function":     {[]string{"arn:aws:lambda:us-east-1:111122223333:function:f:3", "arn:aws:lambda:us-east-1:111122223333:function:f"}, []string{"ListTags 1"}, 0},
		"an index":                    {[]string{"arn:aws:dynamodb:us-east-1:111122223333:table/T/index/I"}, []string{"ListTagsOfResource 1"}, 0},
		"a stream of a log group":     {[]string{"arn:aws:logs:us-east-1:111122223333:log-group:/x:log-stream:y"}, []string{"ListTagsForResource 1"}, 0},
		"an unknown region":           {[]string{strings.Replace(instance(1), "us-east-1", "evil.example", 1)}, nil, 1},
		"no region":                   {[]string{"arn:aws:rds::111122223333:db:x"}, nil, 1},
		"white space":                 {[]string{rds + "a b", rds + "a\nb", rds + "a%2Fb", rds + "a&Action=DeleteDBInstance", rds + "ä"}, nil, 5},
		"no ARN":                      {[]string{"", "arn", "i-0abc", "arn:aws:rds", "arn:aws:rds:us-east-1:111122223333:"}, nil, 0},
	} {
		reads, unread := Reads(ids, on(test.arns...), account)
		var got []string
		for _, r := range reads {
			got = append(got, fmt.Sprint(r.row.operation, " ", len(r.subjects)))
		}
		if !slices.Equal(got, test.reads) || unread != test.unread {
			t.Errorf("%s: %q and %d unread, want %q and %d", name, got, unread, test.reads, test.unread)
		}
	}
}

// The global services of other partitions have other names.
func TestHosts(t *testing.T) {
	ids := identifier(t)
	for _, test := range []struct{ partition, region, service, want string }{
		{"aws", "us-east-1", "iam", "iam.amazonaws.com"}, {"aws-us-gov", "us-gov-west-1", "iam", "iam.us-gov.amazonaws.com"},
		{"aws-cn", "cn-northwest-1", "iam", "iam.cn-north-1.amazonaws.com.cn"}, {"aws-cn", "cn-northwest-1", "ec2", "ec2.cn-northwest-1.amazonaws.com.cn"},
		{"aws", "", "ec2", ""}, {"aws", "cn-north-1", "ec2", ""}, {"x", "us-east-1", "ec2", ""},
	} {
		i := slices.IndexFunc(table, func(r row) bool { return r.prefix == test.service })
		if got, _ := table[i].hostIn(ids, test.partition, test.region); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// Whatever a request names: what is read is an operation of the table, found in the
// bytes that are sent, and on nothing but what it names.
func FuzzReads(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.ARNs[0], false)
	}
	f.Add("arn:aws:rds:us-east-1:111122223333:db:x&Action=DeleteDBInstance&DBInstanceIdentifier=x", false)
	f.Add("arn:aws:iam::111122223333:role/x\" OR", false)
	f.Add("arn:aws:s3:::acme?acl&", false)
	f.Add("arn:aws:s3:::..", false)
	f.Add("arn:aws:lambda:us-east-1:111122223333:function:../../2015-03-31/functions/x", false)
	f.Add("arn:aws:sqs:us-east-1:111122223333:../999988887777/q", false)
	f.Add("arn:aws:secretsmanager:us-east-1:111122223333:secret:*-??????", true)
	ids := identifier(f)
	f.Fuzz(func(t *testing.T, text string, partial bool) {
		c := &awsapi.Call{Partition: "aws", Region: "us-east-1", Actions: []awsapi.Action{{Name: "x:Y", Resources: []awsapi.Resource{{ARN: text, Partial: partial}}}}}
		reads, unread := Reads(ids, c, account)
		if len(reads)+unread > 1 {
			t.Fatalf("%d reads, %d unread", len(reads), unread)
		}
		for _, r := range reads {
			c := r.Call.Canonical()
			head, err := ids.Head(awsapi.Request{Method: c.Method(), Host: c.Host(), Target: strings.TrimSuffix(c.RawPath()+"?"+c.RawQuery(), "?"), Header: c.Header(), ContentLength: c.ContentLength(), Account: account})
			if err != nil {
				t.Fatal(err)
			}
			again, err := head.Call(c.Body())
			if err != nil || again.Service != r.row.service || again.Operation != r.row.operation || len(again.Actions) != 1 ||
				again.Actions[0].Level != awsapi.List && again.Actions[0].Level != awsapi.Read {
				t.Fatalf("%s:%s %+v %v", again.Service, again.Operation, again.Actions, err)
			}
			if !slices.ContainsFunc(table, func(x row) bool { return x.action == again.Actions[0].Name }) {
				t.Errorf("%s", again.Actions[0].Name)
			}
			for _, res := range again.Actions[0].Resources {
				whole := strings.HasPrefix(text, res.ARN) || strings.HasPrefix(res.ARN, text)
				if res.ARN != "*" && !whole {
					t.Errorf("%s for %s", res.ARN, text)
				}
				if strings.ContainsAny(strings.TrimSuffix(res.ARN, unknownSuffix), "?*") && res.ARN != "*" {
					t.Errorf("a wildcard of the request's: %s", res.ARN)
				}
			}
		}
		if len(reads) == 1 && len(reads[0].subjects) > event.MaxDescribed {
			t.Error("too many at once")
		}
	})
}
