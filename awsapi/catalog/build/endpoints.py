"""Host patterns out of botocore's endpoint rules and endpoints.json."""
import collections
import json
import re

from botocore.endpoint_provider import EndpointProvider

def partitions(loader):
    parts = loader.load_data("partitions")["partitions"]
    legacy = {p["partition"]: p for p in loader.load_data("endpoints")["partitions"]}
    out = []
    for p in parts:
        o = p["outputs"]
        regions = sorted(r for r in set(p["regions"]) | set(legacy.get(p["id"], {}).get("regions", {})) if "global" not in r)
        out.append({
            "id": p["id"], "regionRegex": p["regionRegex"], "regions": regions,
            "implicitGlobalRegion": o.get("implicitGlobalRegion"),
            "dnsSuffix": o["dnsSuffix"], "dualStackDnsSuffix": o["dualStackDnsSuffix"],
            "supportsFIPS": o["supportsFIPS"], "supportsDualStack": o["supportsDualStack"],
        })
    return out


def fold_host(host, region, part):
    """Turn a concrete host into a pattern with {region} and {dnsSuffix}."""
    for var in ("dualStackDnsSuffix", "dnsSuffix"):
        suffix = part[var]
        if host.endswith("." + suffix):
            host = host[: -len(suffix)] + "{%s}" % var
            break
    labels = host.split(".")
    return ".".join("{region}" if l == region else l.replace(region, "{region}") if region in l else l for l in labels)


def host_patterns(service, loader, parts, service_default_params):
    """Evaluate the endpoint rule set everywhere and fold the answers."""
    try:
        ruleset = loader.load_service_model(service, "endpoint-rule-set-1")
    except Exception:
        return [], [], []
    provider = EndpointProvider(ruleset, loader.load_data("partitions"))
    known = ruleset["parameters"]
    rows, errors = {}, collections.Counter()
    for part in parts:
        for region in part["regions"]:
            for fips in (False, True):
                for dual in (False, True):
                    params = dict(service_default_params)
                    if "Region" in known:
                        params["Region"] = region
                    if "UseFIPS" in known:
                        params["UseFIPS"] = fips
                    elif fips:
                        continue
                    if "UseDualStack" in known:
                        params["UseDualStack"] = dual
                    elif dual:
                        continue
                    try:
                        ep = provider.resolve_endpoint(**params)
                    except Exception as e:
                        errors[type(e).__name__] += 1
                        continue
                    host = ep.url.split("://", 1)[1].split("/")[0]
                    auth = (ep.properties.get("authSchemes") or [{}])[0]
                    pattern = fold_host(host, region, part)
                    key = (pattern, fips, dual, auth.get("signingName"),
                           None if auth.get("signingRegion") in (None, region) else auth.get("signingRegion"))
                    rows.setdefault(key, {"partitions": set(), "n": 0})
                    rows[key]["partitions"].add(part["id"])
                    rows[key]["n"] += 1
    out = []
    for (pattern, fips, dual, name, sregion), v in sorted(rows.items(), key=lambda kv: (kv[0][1], kv[0][2], -kv[1]["n"], kv[0][0])):
        row = {"host": pattern, "partitions": sorted(v["partitions"])}
        if fips:
            row["fips"] = True
        if dual:
            row["dualStack"] = True
        if name:
            row["signingName"] = name
        if sregion:
            row["signingRegion"] = sregion
        out.append(row)
    text = json.dumps(ruleset)
    templates = sorted(set(re.findall(r'"url":\s*"(https?://[^"]+)"', text)))
    names = sorted(n for n in set(re.findall(r'"signingName":\s*"([^"]+)"', text)) if "{" not in n)
    return out, templates, names


def legacy_hosts(meta, endpoints):
    """Host names from endpoints.json, older clients still use these."""
    out = []
    for p in endpoints["partitions"]:
        svc = p["services"].get(meta["endpointPrefix"])
        if not svc:
            continue
        defaults = svc.get("defaults", {})
        tpl = defaults.get("hostname")
        if tpl:
            out.append({"partition": p["partition"], "template": tpl, "dnsSuffix": p["dnsSuffix"]})
        if defaults.get("sslCommonName"):
            out.append({"partition": p["partition"], "template": defaults["sslCommonName"], "dnsSuffix": p["dnsSuffix"]})
        for region, e in svc.get("endpoints", {}).items():
            host = e.get("hostname") or e.get("sslCommonName")
            if host and region not in host.split("."):
                row = {"partition": p["partition"], "host": host.replace("{service}", meta["endpointPrefix"]).replace("{region}", region).replace("{dnsSuffix}", p["dnsSuffix"])}
                scope = e.get("credentialScope")
                if scope:
                    row["credentialScope"] = scope
                out.append(row)
    seen, uniq = set(), []
    for r in out:
        k = json.dumps(r, sort_keys=True)
        if k not in seen:
            seen.add(k)
            uniq.append(r)
    return uniq
