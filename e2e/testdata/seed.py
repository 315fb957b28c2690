"""Puts the data of the end-to-end tests into moto, directly."""
import sys

import boto3

url = sys.argv[1]


def client(name):
    return boto3.client(name, endpoint_url=url, region_name="us-east-1")


s3 = client("s3")
s3.create_bucket(Bucket="acme-dev-reports")
s3.create_bucket(Bucket="acme-prod-ledger")
s3.put_object(Bucket="acme-dev-reports", Key="2026/q3 übersicht.csv", Body=b"region,revenue\nemea,1\n")
s3.put_object(Bucket="acme-prod-ledger", Key="ledger.csv", Body=b"do not read\n")

ddb = client("dynamodb")
ddb.create_table(
    TableName="acme-dev-customers",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
ddb.put_item(TableName="acme-dev-customers", Item={"id": {"S": "42"}, "name": {"S": "Ada"}, "ssn": {"S": "078-05-1120"}})

client("secretsmanager").create_secret(Name="dev/db", SecretString='{"user":"app","password":"canary-hunter2"}')

ec2 = client("ec2")
image = ec2.describe_images()["Images"][0]["ImageId"]
ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2)
