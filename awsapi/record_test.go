package awsapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// What is recorded of a request has no secret in it: neither members that AWS
// marks sensitive, nor those named like a secret. What AWS gets is not touched.
func TestRecordParams(t *testing.T) {
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	const canary = "canary-7d1f"
	for _, c := range []struct {
		name string
		r    awsapi.Request
		body string
		keep string // a parameter that must stay readable
	}{
		{"secret string", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "X-Amz-Target", "secretsmanager.PutSecretValue", "Content-Type", "application/x-amz-json-1.1"),
			`{"SecretId":"keep-me","SecretString":"` + canary + `"}`, "keep-me"},
		{"parameter", request("POST", "ssm.us-east-1.amazonaws.com", "/", "X-Amz-Target", "AmazonSSM.PutParameter", "Content-Type", "application/x-amz-json-1.1"),
			`{"Name":"/keep-me","Value":"` + canary + `","Type":"SecureString"}`, "/keep-me"},
		{"password", request("POST", "rds.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-www-form-urlencoded"),
			"Action=CreateDBInstance&Version=2014-10-31&DBInstanceIdentifier=keep-me&DBInstanceClass=c&Engine=e&MasterUserPassword=" + canary, "keep-me"},
		{"only member of a structure", request("POST", "elasticache.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-www-form-urlencoded"),
			"Action=CreateUser&Version=2015-02-02&UserId=keep-me&UserName=u&Engine=redis&AccessString=a&AuthenticationMode.Passwords.member.1=" + canary, "keep-me"},
		{"shared key", request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-www-form-urlencoded"),
			"Action=CreateVpnConnection&Version=2016-11-15&CustomerGatewayId=keep-me&Type=t&Options.TunnelOptions.1.PreSharedKey=" + canary, "keep-me"},
		{"signed address", request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-www-form-urlencoded"),
			"Action=ImportImage&Version=2016-11-15&Description=keep-me&DiskContainer.1.Url=" + canary, "keep-me"},
		{"user data", request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-www-form-urlencoded"),
			"Action=ModifyInstanceAttribute&Version=2016-11-15&InstanceId=keep-me&UserData.Value=" + canary, "keep-me"},
		{"customer key", request("GET", "acme.s3.us-east-1.amazonaws.com", "/keep-me", "X-Amz-Server-Side-Encryption-Customer-Key", canary), "", "keep-me"},
		{"plaintext", request("POST", "kms.us-east-1.amazonaws.com", "/", "X-Amz-Target", "TrentService.Encrypt", "Content-Type", "application/x-amz-json-1.1"),
			`{"KeyId":"keep-me","Plaintext":"` + canary + `"}`, "keep-me"},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, err := id.Head(c.r)
			if err != nil {
				t.Fatal(err)
			}
			call, err := head.Call([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(call.RecordParams())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), canary) || !strings.Contains(string(text), c.keep) {
				t.Errorf("recorded: %s", text)
			}
			if before, _ := json.Marshal(call.Params()); !strings.Contains(string(before), canary) {
				t.Errorf("the parameters themselves were changed: %s", before)
			}
		})
	}
}
