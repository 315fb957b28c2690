package awstest

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SetTags replaces the tags of a resource. Its service then answers the operation
// that reads them; EC2's instances have their name as a tag from the beginning.
func (s *Server) SetTags(arn string, tags map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.tags[arn] = maps.Clone(tags)
}

// readsTags reports an operation that reads tags, in a service whose other operations
// are elsewhere or missing.
func (x *exchange) readsTags() (arn, action string, ok bool) {
	switch x.service {
	case "s3":
		if x.rec.Method == http.MethodGet && x.query.Has("tagging") {
			bucket, _, err := x.s3Names()
			return "arn:aws:s3:::" + bucket, "s3:GetBucketTagging", err == nil
		}
	case "lambda":
		if name, cut := strings.CutPrefix(x.path, "/2017-03-31/tags/"); cut && x.rec.Method == http.MethodGet {
			return unescape(name, false), "lambda:ListTags", true
		}
	case "dynamodb":
		var in struct{ ResourceArn string }
		if x.rec.Header.Get("X-Amz-Target") == "DynamoDB_20120810.ListTagsOfResource" && json.Unmarshal(x.body, &in) == nil {
			return in.ResourceArn, "dynamodb:ListTagsOfResource", true
		}
	case "rds", "iam":
		form, err := url.ParseQuery(string(x.body))
		if err != nil {
			return "", "", false
		}
		switch a := form.Get("Action"); a {
		case "ListTagsForResource":
			return form.Get("ResourceName"), "rds:" + a, true
		case "ListRoleTags":
			return "arn:aws:iam::" + Account + ":role/" + form.Get("RoleName"), "iam:" + a, true
		case "ListUserTags":
			return "arn:aws:iam::" + Account + ":user/" + form.Get("UserName"), "iam:" + a, true
		}
	}
	return "", "", false
}

type keyValue struct{ Key, Value string }

// answerTags answers what readsTags has found, in the service's own format.
func (x *exchange) answerTags(arn, action string) error {
	if err := x.allow(action, arn, Account); err != nil {
		return err
	}
	x.mu.Lock()
	tags := x.data.tags[arn]
	x.mu.Unlock()
	var list []keyValue
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, keyValue{k, tags[k]})
	}
	_, operation, _ := strings.Cut(action, ":")
	switch x.service {
	case "s3":
		if len(list) == 0 {
			return fault(http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist")
		}
		return x.xml(http.StatusOK, struct {
			XMLName xml.Name   `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
			Tags    []keyValue `xml:"TagSet>Tag"`
		}{Tags: list})
	case "rds":
		return x.xml(http.StatusOK, struct {
			XMLName xml.Name   `xml:"http://rds.amazonaws.com/doc/2014-10-31/ ListTagsForResourceResponse"`
			Tags    []keyValue `xml:"ListTagsForResourceResult>TagList>Tag"`
		}{Tags: list})
	case "iam":
		type result struct {
			IsTruncated bool
			Tags        []keyValue `xml:"Tags>member"`
		}
		root := xml.StartElement{Name: xml.Name{Space: "https://iam.amazonaws.com/doc/2010-05-08/", Local: operation + "Response"}}
		var b strings.Builder
		enc := xml.NewEncoder(&b)
		for _, err := range []error{enc.EncodeToken(root), enc.EncodeElement(result{Tags: list}, xml.StartElement{Name: xml.Name{Local: operation + "Result"}}), enc.EncodeToken(root.End()), enc.Close()} {
			if err != nil {
				return err
			}
		}
		return x.raw(http.StatusOK, "text/xml", []byte(b.String()))
	case "lambda":
		return x.json(http.StatusOK, map[string]any{"Tags": tags})
	}
	return x.json(http.StatusOK, map[string]any{"Tags": list})
}

// describeTags is EC2's, which has one filter here: resource-id.
func (x *exchange) describeTags(form url.Values) error {
	if err := x.allow("ec2:DescribeTags", "*", Account); err != nil {
		return err
	}
	type item struct {
		Resource string `xml:"resourceId"`
		Kind     string `xml:"resourceType"`
		Key      string `xml:"key"`
		Value    string `xml:"value"`
	}
	if form.Get("Filter.1.Name") != "resource-id" {
		return fault(http.StatusBadRequest, "InvalidParameterValue", "the simulated EC2 wants the filter resource-id")
	}
	var items []item
	for name, v := range form {
		if !strings.HasPrefix(name, "Filter.1.Value.") {
			continue
		}
		tags := map[string]string{}
		if i, ok := x.data.instances[v[0]]; ok {
			tags["Name"] = i.name
		}
		maps.Copy(tags, x.data.tags["arn:aws:ec2:"+Region+":"+Account+":instance/"+v[0]])
		for _, k := range slices.Sorted(maps.Keys(tags)) {
			items = append(items, item{v[0], "instance", k, tags[k]})
		}
	}
	return x.xml(http.StatusOK, struct {
		XMLName   xml.Name `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeTagsResponse"`
		RequestID string   `xml:"requestId"`
		Items     []item   `xml:"tagSet>item"`
	}{RequestID: "simulated", Items: items})
}
