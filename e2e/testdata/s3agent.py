"""boto3 as a client of the matrix: one step, named by the argument; what it is about is in the environment."""
import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

E = os.environ
s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
of = {"Bucket": E["B"], "Key": E["K"]}
parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)


def put():
    with open(E["F"], "rb") as f:
        s3.put_object(**of, Body=f)


def multi():
    s3.upload_file(E["F"], E["B"], E["K"], Config=parts)


def get():
    s3.download_file(E["B"], E["K"], E["D"], Config=parts)


def head():
    print(s3.head_object(**of)["ContentLength"])


def part():
    with open(E["D"], "wb") as f:
        f.write(s3.get_object(**of, Range="bytes=100-199")["Body"].read())


def list():
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=E["B"], Prefix=E["P"]):
        for o in page.get("Contents", []):
            print(o["Key"])


def delete():
    s3.delete_object(**of)


def presign():
    call = {"GET": "get_object", "PUT": "put_object"}[sys.argv[2]]
    print(s3.generate_presigned_url(call, Params=of, ExpiresIn=60))


def form():
    import requests

    post = s3.generate_presigned_post(E["B"], E["K"], Fields={"x-amz-meta-by": "requests"}, Conditions=[{"x-amz-meta-by": "requests"}])
    with open(E["F"], "rb") as f:
        answer = requests.post(post["url"], data=post["fields"], files={"file": f})
    if answer.status_code != 204:
        sys.exit(answer.text)


def curl_form():
    fields = {"success_action_status": "201", "Content-Type": "text/plain"}
    post = s3.generate_presigned_post(E["B"], E["K"], Fields=fields, Conditions=[{k: v} for k, v in fields.items()])
    print('url = "%s"' % post["url"])
    for name, value in post["fields"].items():
        print('form-string = "%s=%s"' % (name, value))
    print('form = "file=@%s"' % E["F"])


globals()[sys.argv[1]]()
