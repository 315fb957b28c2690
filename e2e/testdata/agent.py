"""What an agent might do with boto3. Prints one JSON object of what came of it."""
import json

import boto3
from botocore.exceptions import ClientError

out = {}


def attempt(name, call):
    try:
        out[name] = call()
    except ClientError as e:
        out[name] = {"code": e.response["Error"]["Code"], "message": e.response["Error"]["Message"],
                     "status": e.response["ResponseMetadata"]["HTTPStatusCode"],
                     "attempts": e.response["ResponseMetadata"]["RetryAttempts"]}


s3 = boto3.client("s3")
ddb = boto3.client("dynamodb")
attempt("get", lambda: s3.get_object(Bucket="acme-dev-reports", Key="2026/q3 übersicht.csv")["Body"].read().decode())
attempt("put", lambda: s3.put_object(Bucket="acme-dev-reports", Key="a b/ü+=~.txt", Body=b"x" * 100)["ResponseMetadata"]["HTTPStatusCode"])
attempt("head", lambda: s3.head_object(Bucket="acme-dev-reports", Key="a b/ü+=~.txt")["ContentLength"])
attempt("delete", lambda: s3.delete_object(Bucket="acme-dev-reports", Key="a b/ü+=~.txt"))
attempt("item", lambda: ddb.get_item(TableName="acme-dev-customers", Key={"id": {"S": "42"}})["Item"])
attempt("secret", lambda: boto3.client("secretsmanager").get_secret_value(SecretId="dev/db")["SecretString"])
attempt("assume", lambda: boto3.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="agent"))
attempt("terminate", lambda: boto3.client("ec2").terminate_instances(InstanceIds=["i-0123456789abcdef0"]))
attempt("region", lambda: boto3.client("sts", region_name="eu-west-1").get_caller_identity()["Account"])
print(json.dumps(out))
