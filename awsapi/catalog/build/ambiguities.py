"""Where a naive matcher fails, and how much is known."""
import collections
import re

import botocore
import botocore.session

from files import MAX_PATHS, REST_PROTOCOLS

def segment_pattern(path):
    return re.sub(r"\{[^}]+\}", lambda m: "{+}" if m.group().endswith("+}") else "{}", path.rstrip("/") or "/")


def uri_regex(path):
    out = ""
    for tok in re.split(r"(\{[^}]+\})", path.rstrip("/") or "/"):
        if tok.startswith("{"):
            out += ".+" if tok.endswith("+}") else "[^/]+"
        else:
            out += re.escape(tok)
    return re.compile(out + "/?$")


def ambiguities(docs):
    out = {"sameMethodAndUri": [], "literalVersusLabel": {}, "sharedHost": [], "sharedSigningName": [], "sharedTarget": [], "multiProtocol": [], "crossServiceRestCollisions": []}
    by_host, by_sign, by_target = (collections.defaultdict(set) for _ in range(3))
    for d in docs:
        for h in d["hosts"]:
            if not h.get("fips") and not h.get("dualStack"):
                by_host[h["host"]].add(d["service"])
        for s in d["signingNames"]:
            by_sign[s].add(d["service"])
        if d.get("targetPrefix"):
            by_target[d["targetPrefix"]].add(d["service"])
        if len(d["protocols"]) > 1:
            out["multiProtocol"].append({"service": d["service"], "protocols": d["protocols"]})
        if not set(d["protocols"]) & REST_PROTOCOLS:
            continue
        groups = collections.defaultdict(list)
        for n, o in d["operations"].items():
            groups[(o["method"], segment_pattern(o["path"]), o.get("hostPrefix", ""), tuple(sorted(o.get("query", {}).items())))].append(n)
        loose = collections.defaultdict(list)
        for n, o in d["operations"].items():
            loose[(o["method"], segment_pattern(o["path"]), o.get("hostPrefix", ""))].append(n)
        for (method, pat, hp, q), names in sorted(groups.items()):
            if len(names) > 1:
                hints = {}
                for n in names:
                    o = d["operations"][n]
                    hints[n] = {
                        "requiredQuery": sorted(k for k, v in o.get("queryMembers", {}).items() if v.get("required")),
                        "requiredHeaders": sorted(k for k, v in o.get("headerMembers", {}).items() if v.get("required")),
                    }
                out["sameMethodAndUri"].append({"service": d["service"], "method": method, "path": pat, **({"query": dict(q)} if q else {}), "operations": sorted(names), "hints": hints})
        for (method, pat, hp), names in sorted(loose.items()):
            kinds = {tuple(sorted(d["operations"][n].get("query", {}).items())) for n in names}
            if len(kinds) > 1:
                out.setdefault("queryDistinguished", []).append({"service": d["service"], "method": method, "path": pat, "operations": {n: d["operations"][n].get("query", {}) for n in sorted(names)}})
        n_over = []
        items = list(d["operations"].items())
        regs = {n: uri_regex(o["path"]) for n, o in items}
        for n, o in items:
            for n2, o2 in items:
                if n == n2 or o["method"] != o2["method"] or segment_pattern(o["path"]) == segment_pattern(o2["path"]):
                    continue
                probe = re.sub(r"\{[^}]+\}", "x", o2["path"])
                if regs[n].match(probe):
                    n_over.append([n2, n])
        if n_over:
            out["literalVersusLabel"][d["service"]] = sorted(n_over)
    docmap = {d["service"]: d for d in docs}
    for h, s in sorted(by_host.items()):
        if len(s) > 1:
            row = {"host": h, "services": sorted(s)}
            row["protocols"] = {x: docmap[x]["protocols"] for x in sorted(s)}
            row["apiVersions"] = {x: docmap[x]["apiVersion"] for x in sorted(s)}
            opsets = collections.Counter(o for x in s for o in docmap[x]["operations"])
            same = sorted(o for o, c in opsets.items() if c > 1)
            row["operationNamesInCommon"] = len(same)
            row["undecidable"] = []
            ss = sorted(s)
            for i, a in enumerate(ss):
                for b in ss[i + 1:]:
                    A, B = docmap[a], docmap[b]
                    if set(A["protocols"]) & REST_PROTOCOLS and set(B["protocols"]) & REST_PROTOCOLS:
                        ka = {(o["method"], segment_pattern(o["path"]), tuple(sorted(o.get("query", {})))): n for n, o in A["operations"].items()}
                        for n, o in B["operations"].items():
                            k = (o["method"], segment_pattern(o["path"]), tuple(sorted(o.get("query", {}))))
                            if k in ka:
                                out["crossServiceRestCollisions"].append({"host": h, "method": k[0], "path": k[1], "operations": [f"{a}.{ka[k]}", f"{b}.{n}"]})
                    elif A["protocol"] == B["protocol"] == "query" and A["apiVersion"] == B["apiVersion"]:
                        row["undecidable"].append({"services": [a, b], "reason": "same Version parameter", "actions": len(set(A["operations"]) & set(B["operations"]))})
            out["sharedHost"].append(row)
    out["sharedSigningName"] = [{"signingName": s, "services": sorted(v)} for s, v in sorted(by_sign.items()) if len(v) > 1]
    out["sharedTarget"] = [{"targetPrefix": s, "services": sorted(v)} for s, v in sorted(by_target.items()) if len(v) > 1]
    out["headerDistinguished"] = [
        {"service": "s3", "base": "PutObject", "other": "CopyObject", "header": "x-amz-copy-source"},
        {"service": "s3", "base": "UploadPart", "other": "UploadPartCopy", "header": "x-amz-copy-source"},
    ]
    return out


def statistics(docs, amb):
    st = {"botocore": botocore.__version__, "services": len(docs)}
    per = {}
    c = collections.Counter()
    src = collections.Counter()
    lvl = collections.Counter()
    kinds = collections.Counter()
    unknown = {}
    for d in docs:
        p = d["protocol"]
        row = per.setdefault(p, collections.Counter())
        row["services"] += 1
        for n, o in d["operations"].items():
            row["operations"] += 1
            c["operations"] += 1
            src[o["iamSource"]] += 1
            if o["iam"]:
                c["operationsWithAction"] += 1
                if o["iam"][0].get("level"):
                    c["operationsWithActionAndLevel"] += 1
                    lvl[o["iam"][0]["level"]] += 1
                if any(r.get("resources") for r in o["iam"]):
                    c["operationsWithResourceTypes"] += 1
                if any(r.get("bind") or r.get("arns") for r in o["iam"]):
                    c["operationsWithMappedArnBinding"] += 1
                if any(r.get("guessedBind") for r in o["iam"]):
                    c["operationsWithGuessedArnBinding"] += 1
            elif o["iamSource"] == "unknown":
                unknown.setdefault(d["service"], []).append(n)
            if o.get("arnMembers"):
                c["operationsWithArnMembers"] += 1
            if any(o.get("sensitiveInput", {}).values()):
                c["operationsWithSensitiveInput"] += 1
            if any(o.get("sensitiveOutput", {}).values()):
                c["operationsWithSensitiveOutput"] += 1
            if o.get("recursive"):
                c["operationsWithRecursiveSensitivePaths"] += 1
            sec = next(iter(o.get("secretOutput", {}).values()), [])
            ks = {r["kind"] for r in sec}
            if "aws-secret-access-key" in ks:
                c["operationsReturningAwsCredentials"] += 1
            if ks - {"aws-access-key-id"}:
                c["operationsReturningAnySecretByNameOrCurated"] += 1
            if any(not r.get("trait") for r in sec if r["kind"] != "aws-access-key-id"):
                c["operationsWithSecretOutputLackingTrait"] += 1
            kinds.update(ks)
            for k in ("streamingInput", "streamingOutput", "eventStreamInput", "eventStreamOutput", "hostPrefix", "authtype", "auth"):
                if o.get(k):
                    c["operationsWith_" + k] += 1
            if any(len(v) >= MAX_PATHS for v in list(o.get("sensitiveInput", {}).values()) + list(o.get("sensitiveOutput", {}).values())):
                c["operationsWithTruncatedPathList"] += 1
    st["perProtocol"] = {k: dict(v) for k, v in sorted(per.items())}
    st["counts"] = dict(sorted(c.items()))
    st["iamSources"] = dict(src.most_common())
    st["levelsOfPrimaryAction"] = dict(lvl.most_common())
    st["secretKinds"] = dict(sorted(kinds.items(), key=lambda kv: (-kv[1], kv[0])))
    st["operationsWithoutAction"] = unknown
    st["ambiguityCounts"] = {k: len(v) for k, v in amb.items()}
    return st
