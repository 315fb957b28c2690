package awsapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

const (
	jsonType = "application/x-amz-json-1.0"
	cwCBOR   = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
)

func ec2Form(body string) (awsapi.Request, []byte) {
	return request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", formType), []byte(body)
}

func packed(t testing.TB, v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever the wire format and the part of the request, parameters have the names
// and the types of AWS's model.
func TestParams(t *testing.T) {
	id := identifier(t)
	cw := request("POST", "monitoring.us-east-1.amazonaws.com", cwCBOR, "Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor")
	for name, c := range map[string]struct {
		r    awsapi.Request
		body string
		want string
	}{
		"ec2": {request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", formType),
			"Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MaxCount=2&EbsOptimized=true&SecurityGroupId.1=sg-1&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.2.Key=l",
			`{"ImageId":"ami-1","MaxCount":2,"EbsOptimized":true,"SecurityGroupIds":["sg-1"],"TagSpecifications":[{"Tags":[{"Key":"k"},{"Key":"l"}]}]}`},
		"query, out of order": {request("POST", "rds.us-east-1.amazonaws.com", "/", "Content-Type", formType),
			"Action=AddTagsToResource&Version=2014-10-31&ResourceName=arn:aws:rds:us-east-1:111122223333:db:d&Tags.Tag.2.Key=b&Tags.Tag.1.Key=a",
			`{"ResourceName":"arn:aws:rds:us-east-1:111122223333:db:d","Tags":[{"Key":"a"},{"Key":"b"}]}`},
		"query map": {request("POST", "sns.us-east-1.amazonaws.com", "/", "Content-Type", formType),
			"Action=CreateTopic&Version=2010-03-31&Name=t&Attributes.entry.1.key=KmsMasterKeyId&Attributes.entry.1.value=alias/x",
			`{"Name":"t","Attributes":{"KmsMasterKeyId":"alias/x"}}`},
		"sqs as it was": {request("POST", "sqs.us-east-1.amazonaws.com", "/", "Content-Type", formType),
			"Action=SendMessage&Version=2012-11-05&QueueUrl=https://sqs.us-east-1.amazonaws.com/111122223333/q&MessageBody=m&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String&DelaySeconds=5",
			`{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/111122223333/q","MessageBody":"m","MessageAttributes":{"a":{"DataType":"String"}},"DelaySeconds":5}`},
		"s3": {request("GET", "b1b.s3.us-east-1.amazonaws.com", "/?list-type=2&max-keys=50&prefix=a%2Fb", "X-Amz-Optional-Object-Attributes", "RestoreStatus"), "",
			`{"Bucket":"b1b","MaxKeys":50,"Prefix":"a/b","OptionalObjectAttributes":["RestoreStatus"]}`},
		"s3 xml": {request("POST", "b1b.s3.us-east-1.amazonaws.com", "/?delete"), "<Delete xmlns='urn:x'><Object><Key>a &amp; b</Key></Object><Object><Key>c</Key></Object><Quiet>true</Quiet></Delete>",
			`{"Bucket":"b1b","Delete":{"Objects":[{"Key":"a & b"},{"Key":"c"}],"Quiet":true}}`},
		"s3 grantee": {request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/?acl"),
			`<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>u</URI></Grantee></Grant></AccessControlList></AccessControlPolicy>`,
			`{"Bucket":"b1b","AccessControlPolicy":{"Grants":[{"Grantee":{"Type":"Group","URI":"u"}}]}}`},
		"s3 metadata":   {request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/k", "X-Amz-Meta-Owner", "me"), "", `{"Bucket":"b1b","Key":"k","Metadata":{"owner":"me"}}`},
		"bucket policy": {request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/?policy"), `{"Statement":[{"Principal":"*"}]}`, `{"Bucket":"b1b","Policy":{"Statement":[{"Principal":"*"}]}}`},
		"json time": {request("POST", "logs.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Logs_20140328.FilterLogEvents"), `{"logGroupName":"g","startTime":1700000000000,"limit":3}`,
			`{"logGroupName":"g","startTime":1700000000000,"limit":3}`},
		"cbor": {cw, string(packed(t, map[string]any{"Namespace": "n", "MetricData": []any{map[string]any{"MetricName": "m", "Value": 1.5, "Timestamp": cbor.Tag{Number: 1, Content: 1700000000}}}})),
			`{"Namespace":"n","MetricData":[{"MetricName":"m","Value":1.5,"Timestamp":"2023-11-14T22:13:20Z"}]}`},
		"newer than the catalog": {request("POST", "dynamodb.us-east-1.amazonaws.com", "/", "Content-Type", jsonType, "X-Amz-Target", "DynamoDB_20120810.GetItem"), `{"TableName":"t","Brand_New":{"a":[1]}}`,
			`{"TableName":"t","Brand_New":{"a":[1]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := identify(id, c.r, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			var want any
			dec := json.NewDecoder(strings.NewReader(c.want))
			dec.UseNumber()
			if err := dec.Decode(&want); err != nil {
				t.Fatal(err)
			}
			if got := any(call.Params()); !reflect.DeepEqual(got, want) {
				b, _ := json.Marshal(got)
				t.Errorf(" got %s\nwant %s", b, c.want)
			}
		})
	}
}

// A parameter that a reader without regard to case, or one that goes by the model's
// names, would take for another is refused, and so is one of the wrong type.
func TestOtherSpellings(t *testing.T) {
	id := identifier(t)
	ddb := request("POST", "dynamodb.us-east-1.amazonaws.com", "/", "Content-Type", jsonType, "X-Amz-Target", "DynamoDB_20120810.GetItem")
	cw := request("POST", "monitoring.us-east-1.amazonaws.com", cwCBOR, "Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor")
	ec2, _ := ec2Form("")
	s3 := request("POST", "b1b.s3.us-east-1.amazonaws.com", "/?delete")
	lambda := request("PUT", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/f/configuration", "Content-Type", "application/json")
	for name, c := range map[string]struct {
		r    awsapi.Request
		body string
	}{
		"json, case":                 {ddb, `{"tablename":"prod"}`},
		"json, both":                 {ddb, `{"TableName":"dev","tableName":"prod"}`},
		"json, type":                 {ddb, `{"TableName":["prod"]}`},
		"json, number for text":      {ddb, `{"TableName":1.0}`},
		"json, value for structure":  {ddb, `{"TableName":"t","Key":"x"}`},
		"json, null document":        {ddb, `null`},
		"json, list document":        {ddb, `[]`},
		"form, model's name":         {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceIds.1=i-0b"},
		"form, case":                 {ec2, "Action=TerminateInstances&Version=2016-11-15&instanceid.1=i-0b"},
		"form, value for list":       {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceId=i-0b"},
		"form, empty and full list":  {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceId=&InstanceId.1=i-0b"},
		"form, number zero":          {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceId.0=i-0b"},
		"form, leading zero":         {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceId.01=i-0b"},
		"form, word for number":      {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceId.member.1=i-0b"},
		"form, empty name":           {ec2, "Action=TerminateInstances&Version=2016-11-15&InstanceId..1=i-0b"},
		"rest, bound member in body": {lambda, `{"FunctionName":"g"}`},
		"xml, twice":                 {s3, "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>"},
		"xml, case":                  {s3, "<Delete><object><Key>a</Key></object></Delete>"},
		"xml, inside a value":        {s3, "<Delete><Object><Key>a<x>b</x></Key></Object></Delete>"},
		"xml, comment in a value":    {s3, "<Delete><Object><Key>a<!-- -->b</Key></Object></Delete>"},
		"xml, text in a structure":   {s3, "<Delete>a<Object><Key>b</Key></Object></Delete>"},
		"xml, namespaces":            {s3, "<Delete xmlns='urn:x'><Object xmlns='urn:y'><Key>a</Key></Object></Delete>"},
		"xml, attribute":             {s3, "<Delete><Object Key='b'><Key>a</Key></Object></Delete>"},
		"xml, two roots":             {s3, "<Delete><Object><Key>a</Key></Object></Delete><Delete/>"},
		"xml, DTD":                   {s3, "<!DOCTYPE x [<!ENTITY y 'z'>]><Delete><Object><Key>a</Key></Object></Delete>"},
		"cbor, case":                 {cw, string(packed(t, map[string]any{"namespace": "n"}))},
		"cbor, type":                 {cw, string(packed(t, map[string]any{"MetricData": "n"}))},
		"cbor, twice":                {cw, "\xa2\x69Namespace\x61a\x69Namespace\x61b"},
		"cbor, no text key":          {cw, "\xa1\x01\x61a"},
		"cbor, not UTF-8":            {cw, "\xa1\x69Namespace\x61\xff"},
		"cbor, bytes behind":         {cw, "\xa0\xa0"},
		"cbor, list":                 {cw, "\x80"},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := identify(id, c.r, []byte(c.body))
			if err == nil {
				t.Fatalf("accepted with %v", call.Params())
			}
			if r := refusal.Of(err); r.Reason != refusal.Malformed {
				t.Errorf("%s: %v", r.Reason, err)
			}
		})
	}
}

// A body that clients may compress is decompressed and judged, and goes on as it
// came; what could hide something else in the compressed form is refused.
func TestCompressedBodies(t *testing.T) {
	id := identifier(t)
	squeeze := func(header gzip.Header, text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Header = header
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	const form = "Action=PutMetricData&Version=2010-08-01&Namespace=n"
	doc := `{"Namespace":"n","MetricData":[]}`
	r := func(h ...string) awsapi.Request {
		return request("POST", "monitoring.us-east-1.amazonaws.com", "/", append([]string{"Content-Encoding", "gzip"}, h...)...)
	}
	asJSON := r("Content-Type", jsonType, "X-Amz-Target", "GraniteServiceVersion20100801.PutMetricData", "X-Amzn-Query-Mode", "true")
	asForm := r("Content-Type", formType)
	for name, c := range map[string]struct {
		r    awsapi.Request
		body []byte
	}{"json": {asJSON, squeeze(gzip.Header{}, doc)}, "form": {asForm, squeeze(gzip.Header{}, form)}} {
		call, err := identify(id, c.r, c.body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		can := call.Canonical()
		if call.Params()["Namespace"] != "n" || !bytes.Equal(can.Body(), c.body) || can.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %v, %q, %v", name, call.Params(), can.Body(), can.Header())
		}
	}
	good := squeeze(gzip.Header{}, form)
	bomb := squeeze(gzip.Header{}, form+"&x="+strings.Repeat("a", 1<<20))
	for name, c := range map[string]struct {
		r    awsapi.Request
		body []byte
		want refusal.Reason
	}{
		"another operation":  {asForm, squeeze(gzip.Header{}, "Action=DeleteAlarms&Version=2010-08-01&AlarmNames.member.1=a"), refusal.Unidentified},
		"another service":    {request("POST", "dynamodb.us-east-1.amazonaws.com", "/", "Content-Type", jsonType, "X-Amz-Target", "DynamoDB_20120810.GetItem", "Content-Encoding", "gzip"), squeeze(gzip.Header{}, "{}"), refusal.Unidentified},
		"two members":        {asForm, append(bytes.Clone(good), squeeze(gzip.Header{}, "&Namespace=m")...), refusal.Malformed},
		"bytes behind":       {asForm, append(bytes.Clone(good), "&Action=DeleteAlarms"...), refusal.Malformed},
		"name in the header": {asForm, squeeze(gzip.Header{Name: "&Action=DeleteAlarms&"}, form), refusal.Malformed},
		"extra data":         {asForm, squeeze(gzip.Header{Extra: []byte("&Action=DeleteAlarms&")}, form), refusal.Malformed},
		"cut off":            {asForm, good[:len(good)-4], refusal.Malformed},
		"damaged":            {asForm, append(bytes.Clone(good[:len(good)-8]), 0, 0, 0, 0, 0, 0, 0, 0), refusal.Malformed},
		"not gzip":           {asForm, []byte(form), refusal.Malformed},
		"a bomb":             {asForm, bomb, refusal.Malformed},
		"twice":              {r("Content-Type", formType, "Content-Encoding", "gzip"), good, refusal.Unidentified},
	} {
		call, err := identify(id, c.r, c.body)
		if err == nil {
			t.Errorf("%s: accepted with %v", name, call.Params())
		} else if r := refusal.Of(err); r.Reason != c.want {
			t.Errorf("%s: %s: %v", name, r.Reason, err)
		}
	}
	unknown := request("POST", "monitoring.us-east-1.amazonaws.com", "/", "Content-Type", formType, "Content-Encoding", "br")
	if _, err := identify(id, unknown, good); err == nil || refusal.Of(err).Reason != refusal.Unidentified {
		t.Errorf("br: %v", err)
	}
}
