"""Reads rendered answers from stdin and prints what botocore makes of them."""
import base64
import json
import sys

from botocore import parsers
from botocore.awsrequest import HeadersDict

out = []
for a in json.load(sys.stdin):
    parser = parsers.create_parser(a["protocol"])
    parsed = parser.parse(
        {
            "status_code": a["status"],
            "headers": HeadersDict(a["headers"]),
            "body": base64.b64decode(a["body"] or ""),
        },
        None,
    )
    out.append({"Code": parsed["Error"].get("Code"), "Message": parsed["Error"].get("Message")})
json.dump(out, sys.stdout)
