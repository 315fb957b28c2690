"""Reading the sources and writing the output."""
import gzip
import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
XML_PROTOCOLS = {"query", "ec2", "rest-xml"}
QUERY_PROTOCOLS = {"query", "ec2"}
REST_PROTOCOLS = {"rest-json", "rest-xml"}
MAX_PATHS = 20000  # per operation and direction; the longest list has 5,797


def norm(s):
    return re.sub(r"[^a-z0-9]", "", s.lower())


def load_source(name):
    path = os.path.join(HERE, "sources", name)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "rt") as f:
        return json.load(f)


def dump(path, obj, indent=None):
    seps = (",", ": ") if indent else (",", ":")
    text = json.dumps(obj, indent=indent, separators=seps, sort_keys=False) + "\n"
    if path.endswith(".gz"):
        with open(path, "wb") as raw, gzip.GzipFile(
            filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9
        ) as f:
            f.write(text.encode())
    else:
        with open(path, "w") as f:
            f.write(text)
