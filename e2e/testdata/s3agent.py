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


globals()[sys.argv[1]]()
