"""The IAM actions, levels and resource types of an operation."""
import re

from files import load_source, norm

class Iam:
    def __init__(self):
        self.db = load_source("iam.json.gz")
        mapping = load_source("operation-map.json.gz")
        self.methods = mapping["methods"]
        self.permissionless = set(mapping["permissionless"])
        self.curated = load_source("curated.json")
        self.index = {p: {a.lower(): a for a in s["actions"]} for p, s in self.db.items()}

    def prefixes(self, service, meta):
        out = list(self.curated["prefixes"].get(service, []))
        for p in (meta.get("signingName"), meta["endpointPrefix"], service):
            if p and p in self.db and p not in out:
                out.append(p)
        return out

    def find(self, action):
        prefix, _, name = action.partition(":")
        real = self.index.get(prefix, {}).get(name.lower())
        return (prefix, real) if real else (None, None)

    def row(self, action, **extra):
        prefix, name = self.find(action)
        row = {"action": f"{prefix}:{name}" if name else action}
        if name:
            a = self.db[prefix]["actions"][name]
            levels = [x.strip() for x in a["level"].split(",")]
            row["level"] = levels[0]
            if a.get("resources"):
                row["resources"] = [
                    {**r, **({"arn": self.db[prefix]["resources"][r["name"].rstrip("*")]}
                             if r["name"].rstrip("*") in self.db[prefix]["resources"] else {})}
                    for r in a["resources"]
                ]
            if a.get("dependent"):
                row["dependent"] = a["dependent"]
        row.update({k: v for k, v in extra.items() if v})
        return row

    def for_operation(self, service, meta, op, method, uri):
        """(rows, source, note)"""
        no = self.curated["noIam"].get(service, ())
        if isinstance(no, str) or (isinstance(no, list) and op in no):
            return [], "none", no if isinstance(no, str) else "no IAM permission"
        sid = norm(meta["serviceId"])
        mapped = self.methods.get(f"{sid}.{op.lower()}") or self.methods.get(f"{norm(service)}.{op.lower()}") or []
        binds = {m["action"].lower(): m for m in mapped}

        def extras(action):
            m = binds.get(action.lower(), {})
            return {k: m.get(k) for k in ("bind", "arns", "arn", "when")}

        hand = self.curated["operations"].get(service, {}).get(op)
        if hand:
            return [self.row(a, **extras(a)) for a in hand], "curated", None
        for p in self.prefixes(service, meta):
            real = self.index[p].get(op.lower())
            if real:
                action = f"{p}:{real}"
                rows = [self.row(action, **extras(action))]
                for m in mapped:
                    if m["action"].lower() != action.lower() and self.find(m["action"])[1]:
                        rows.append(self.row(m["action"], **extras(m["action"]), also=True))
                return rows, "name", None
        if service in ("apigateway", "apigatewayv2"):
            arn = "arn:${Partition}:apigateway:${Region}::" + uri.split("?")[0]
            row = self.row(f"apigateway:{method}")
            row.pop("resources", None)
            if row.get("level") is None:
                row["level"] = "Read" if method == "GET" else "Write"
            row["arn"] = arn
            return [row], "http-method", None
        rows = [self.row(m["action"], **extras(m["action"])) for m in mapped]
        if rows:
            return rows, "map", None
        return [], "unknown", None


def arn_members(shape):
    """Top-level input members that carry an ARN."""
    out = []
    if shape is None:
        return out
    for name, m in shape.members.items():
        target = m.member if m.type_name == "list" else m
        pattern = str(target.metadata.get("pattern", ""))
        if target.type_name == "string" and (
            re.search(r"(Arn|ARN|arn)s?$", name) or re.search(r"Arn$|ARN$", target.name) or pattern.startswith(("arn:", "^arn"))
        ):
            out.append(name + (".*" if m.type_name == "list" else ""))
    return out


def bind_heuristic(row, shape):
    """Guess which input members fill the variables of an ARN template."""
    if shape is None or "bind" in row:
        return
    members = {norm(m): m for m, s in shape.members.items() if s.type_name in ("string", "integer", "long")}
    bind = {}
    for r in row.get("resources", ()):
        for var in re.findall(r"\$\{(\w+)\}", r.get("arn", "")):
            if var in ("Partition", "Region", "Account"):
                continue
            v = norm(var)
            stem = re.sub(r"(name|id|arn)$", "", v)
            for cand in (v, stem, stem + "name", stem + "id", stem + "identifier"):
                if cand in members:
                    bind[var] = "${" + members[cand] + "}"
                    break
    if bind:
        row["guessedBind"] = bind
