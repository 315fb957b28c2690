"""One document per service."""
import re

from botocore.model import ServiceModel

from endpoints import host_patterns, legacy_hosts
from files import REST_PROTOCOLS
from iam import arn_members, bind_heuristic
from sensitive import ShapeWalk
from shapes import ShapeTable

def split_uri(uri):
    path, _, query = uri.partition("?")
    params = {}
    for part in query.split("&") if query else []:
        k, _, v = part.partition("=")
        params[k] = v
    return path, params


def build_service(service, session, loader, iam, parts, endpoints):
    raw = loader.load_service_model(service, "service-2")
    model = ServiceModel(raw, service)
    meta = raw["metadata"]
    protocols = list(meta.get("protocols") or [meta["protocol"]])
    versions = loader.list_api_versions(service, "service-2")
    patterns, templates, rule_names = host_patterns(service, loader, parts, {})
    signing = [meta.get("signingName") or meta["endpointPrefix"]]
    signing += [n for n in rule_names if n not in signing]
    legacy = legacy_hosts(meta, endpoints)
    for row in legacy:
        name = row.get("credentialScope", {}).get("service")
        if name and name not in signing:
            signing.append(name)
    doc = {
        "service": service, "serviceId": meta["serviceId"], "fullName": meta["serviceFullName"],
        "endpointPrefix": meta["endpointPrefix"], "signingNames": signing,
        "signatureVersion": meta["signatureVersion"], "auth": meta.get("auth", []),
        "apiVersion": meta["apiVersion"], "apiVersions": versions,
        "protocol": meta["protocol"], "protocols": protocols, "botocoreProtocol": model.resolved_protocol,
    }
    for k in ("jsonVersion", "targetPrefix", "xmlNamespace", "globalEndpoint", "awsQueryCompatible", "protocolSettings"):
        if k in meta:
            doc[k] = meta[k]
    if "smithy-rpc-v2-cbor" in protocols:
        doc["rpcServiceName"] = meta.get("targetPrefix")
    doc["iamPrefixes"] = iam.prefixes(service, meta)
    doc["hosts"] = patterns
    doc["urlTemplates"] = templates
    doc["legacyHosts"] = legacy
    walkers = {p: (ShapeWalk(model, p, False), ShapeWalk(model, p, True)) for p in protocols}
    inputs = ShapeTable(protocols)
    extra_out = iam.curated["credentialOutputs"].get(service, {})
    ops = {}
    for name in model.operation_names:
        op = model.operation_model(name)
        http = op.http
        rawop = raw["operations"][name]
        path, query = split_uri(http.get("requestUri", "/"))
        row = {"method": http.get("method", "POST"), "path": path}
        if op.input_shape is not None:
            row["input"] = inputs.add(op.input_shape)
        if query:
            row["query"] = query
        labels = re.findall(r"\{([^}+]+)\+?\}", path)
        if labels and op.input_shape is not None:
            by_wire = {s.serialization.get("name", n): n for n, s in op.input_shape.members.items() if s.serialization.get("location") == "uri"}
            row["labels"] = {l: by_wire.get(l, l) for l in labels}
        if op.input_shape is not None and set(protocols) & REST_PROTOCOLS:
            hdr, qs = {}, {}
            req = set(op.input_shape.required_members)
            for n, s in op.input_shape.members.items():
                loc = s.serialization.get("location")
                if loc == "headers":
                    hdr[s.serialization.get("name", "") + "*"] = {"member": n}
                if loc in ("header", "querystring"):
                    tgt = hdr if loc == "header" else qs
                    tgt[s.serialization.get("name", n)] = {"member": n, **({"required": True} if n in req else {})}
            if hdr:
                row["headerMembers"] = hdr
            if qs:
                row["queryMembers"] = qs
            if op.input_shape.serialization.get("payload"):
                row["payload"] = op.input_shape.serialization["payload"]
        if http.get("responseCode"):
            row["responseCode"] = http["responseCode"]
        if rawop.get("endpoint", {}).get("hostPrefix"):
            row["hostPrefix"] = rawop["endpoint"]["hostPrefix"]
        for k in ("auth", "authtype", "unsignedPayload", "staticContextParams", "operationContextParams", "requestcompression"):
            if k in rawop:
                row[k] = rawop[k]
        if rawop.get("endpointoperation"):
            row["endpointDiscoveryOperation"] = True
        if rawop.get("endpointdiscovery"):
            row["endpointDiscovery"] = "required" if rawop["endpointdiscovery"].get("required") else "optional"
        for k in ("deprecated", "readonly", "idempotent"):
            if rawop.get(k):
                row[k] = True
        if op.idempotent_members:
            wire = {n: op.input_shape.members[n].serialization.get("name", n) for n in op.idempotent_members}
            if meta["protocol"] == "ec2":
                wire = {n: w[:1].upper() + w[1:] for n, w in wire.items()}
            row["idempotencyMembers"] = wire
        ctx = {}
        if op.input_shape is not None:
            for n, s in rawop and raw["shapes"][rawop["input"]["shape"]].get("members", {}).items():
                if s.get("contextParam"):
                    ctx[s["contextParam"]["name"]] = n
        if ctx:
            row["contextParams"] = ctx
        if op.has_streaming_input:
            row["streamingInput"] = True
        if op.has_streaming_output:
            row["streamingOutput"] = True
        if op.has_event_stream_input:
            row["eventStreamInput"] = True
        if op.has_event_stream_output:
            row["eventStreamOutput"] = True
        wrapper = rawop.get("output", {}).get("resultWrapper")
        if wrapper:
            row["resultWrapper"] = wrapper
        iam_rows, source, note = iam.for_operation(service, meta, name, row["method"], path)
        for r in iam_rows:
            bind_heuristic(r, op.input_shape)
        row["iam"] = iam_rows
        row["iamSource"] = source
        if note:
            row["iamNote"] = note
        if f"{meta['serviceId'].replace(' ', '')}.{name}" in iam.permissionless:
            row["permissionless"] = True
        arns = arn_members(op.input_shape)
        if arns:
            row["arnMembers"] = arns
        sens_in, sens_out, creds = {}, {}, {}
        for p in protocols:
            plain, kinds = walkers[p]
            got, cyc = plain.paths(op.input_shape, "in")
            if got or cyc:
                sens_in[p] = got
                if cyc:
                    row.setdefault("recursive", {})["input"] = cyc
            got, cyc = plain.paths(op.output_shape, "out", wrapper)
            if got or cyc:
                sens_out[p] = got
                if cyc:
                    row.setdefault("recursive", {})["output"] = cyc
            got, _ = kinds.paths(op.output_shape, "out", wrapper)
            got = [g for g in got if g.get("kind")]
            have = {g["member"] for g in got}
            for extra in extra_out.get(name, ()):
                if extra not in have:
                    got.append({**kinds.resolve(op.output_shape, extra, wrapper), "kind": "curated"})
            if got:
                creds[p] = got
        if sens_in:
            row["sensitiveInput"] = sens_in
        if sens_out:
            row["sensitiveOutput"] = sens_out
        if creds:
            row["secretOutput"] = creds
        ops[name] = row
    doc["shapes"] = inputs.lines
    doc["operations"] = ops
    return doc
