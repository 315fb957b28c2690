#!/usr/bin/env python3
"""Build the AWS API catalog's data from botocore's service models and ./sources/.

    python3 build.py --out DIR [--services a,b]

Writes services/<id>.json.gz (one per service), iam.json.gz, partitions.json,
ambiguities.json and stats.json. See README.md for the format. `make catalog` runs
this and turns the outcome into the tables that the gateway embeds.
"""
import argparse
import os
import sys

try:
    import botocore.session
except ImportError:
    sys.exit("build.py: botocore is not installed for this Python; pip install botocore")

from ambiguities import ambiguities, statistics
from endpoints import partitions
from files import dump
from iam import Iam
from services import build_service


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--out", required=True)
    ap.add_argument("--services")
    args = ap.parse_args()
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    iam = Iam()
    parts = partitions(loader)
    endpoints = loader.load_data("endpoints")
    names = args.services.split(",") if args.services else session.get_available_services()
    os.makedirs(os.path.join(args.out, "services"), exist_ok=True)
    docs = []
    for name in names:
        doc = build_service(name, session, loader, iam, parts, endpoints)
        docs.append(doc)
        dump(os.path.join(args.out, "services", name + ".json.gz"), doc)
    amb = ambiguities(docs)
    dump(os.path.join(args.out, "iam.json.gz"), iam.db)
    dump(os.path.join(args.out, "partitions.json"), {"partitions": parts}, 1)
    dump(os.path.join(args.out, "ambiguities.json"), amb, 1)
    dump(os.path.join(args.out, "stats.json"), statistics(docs, amb), 1)


if __name__ == "__main__":
    main()
