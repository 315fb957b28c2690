"""Which members of an operation hold secrets: AWS's marks and rules of our own."""
import collections
import re

from files import MAX_PATHS, QUERY_PROTOCOLS, REST_PROTOCOLS, XML_PROTOCOLS, norm

TOKEN_EXCLUDE = re.compile(
    r"(next|page|pagination|continuation|client|idempotency|request|start|starting|"
    r"change|lock|update|marker|resume|sync|etag|previous|forward|backward|rule|"
    r"clientrequest|configuration|event|poll|sort|delimiter|quota|sequence|upload|"
    r"completion|input|output|total|max|min|num|count)token$"
)
SECRET_RULES = [
    ("password", re.compile(r"(password|passphrase|passcode)$")),
    ("private-key", re.compile(r"(privatekey|privatekeyplaintext|keymaterial|privatekeypem|plaintextkeymaterial)$")),
    ("presigned-url", re.compile(r"(presignedurl|presigneduri|signedurl|signinurl|authorizedurl|embedurl|signedfileurl|prefixsignedurl)$")),
    ("secret", re.compile(r"(clientsecret|sharedsecret|secretstring|secretbinary|secretvalue|secretkey|secretaccesskey|presharedkey|secrethash|apikey|secret|secretcode)$")),
    ("token", re.compile(
        r"^(token|tokenvalue)$|(access|refresh|id|auth|authorization|authentication|bearer|session|security|"
        r"login|join|join(?:ing)?|registration|activation|connection|participant|user|device|service|oauth|"
        r"jwt|federation|web|api|client(?:credential)|source|destination)token$|^(devicecode|connectauthtoken|authtoken|accesscode|authorizationcode)$")),
    ("secret", re.compile(r"^(plaintext|ciphertextblobplaintext)$")),
]


def secret_kind(struct, member, shape):
    """Class of the secret a leaf member holds, judged by name, or None."""
    if shape.type_name not in ("string", "blob"):
        return None
    n = norm(member)
    names = {norm(m) for m in struct.members}
    if any(x.endswith("accesskeyid") or x == "accesskey" for x in names) and any(
        x.endswith("secretaccesskey") or x.endswith("secretkey") for x in names
    ):
        if n.endswith("secretaccesskey") or n.endswith("secretkey"):
            return "aws-secret-access-key"
        if n in ("sessiontoken", "securitytoken", "token"):
            return "aws-session-token"
        if n.endswith("accesskeyid") or n == "accesskey":
            return "aws-access-key-id"
    for kind, rule in SECRET_RULES:
        if rule.search(n):
            if kind == "token" and TOKEN_EXCLUDE.search(n):
                continue
            if shape.metadata.get("enum"):
                continue
            return kind
    return None


class ShapeWalk:
    """Paths to the interesting leaves below a top-level shape."""

    def __init__(self, model, protocol, with_kinds):
        self.model = model
        self.protocol = protocol
        self.with_kinds = with_kinds
        self._reach = None

    def mark(self, shape):
        return bool(shape.metadata.get("sensitive"))

    def reaching(self):
        """Names of shapes from which an interesting shape can be reached."""
        if self._reach is not None:
            return self._reach
        names = self.model.shape_names
        parents = collections.defaultdict(set)
        hot = set()
        for name in names:
            s = self.model.shape_for(name)
            if self.mark(s):
                hot.add(name)
            if s.type_name == "structure":
                for m, ms in s.members.items():
                    parents[ms.name].add(name)
                    if self.with_kinds and secret_kind(s, m, ms):
                        hot.add(name)
            elif s.type_name == "list":
                parents[s.member.name].add(name)
            elif s.type_name == "map":
                parents[s.value.name].add(name)
                parents[s.key.name].add(name)
        todo = list(hot)
        while todo:
            for p in parents[todo.pop()]:
                if p not in hot:
                    hot.add(p)
                    todo.append(p)
        self._reach = hot
        return hot

    # Wire names -----------------------------------------------------------
    def member_name(self, name, shape, direction):
        ser = shape.serialization
        if self.protocol == "ec2" and direction == "in":
            if "queryName" in ser:
                return ser["queryName"]
            if "name" in ser:
                return ser["name"][0].upper() + ser["name"][1:]
            return name
        if shape.type_name == "list" and ser.get("flattened") and self.protocol in XML_PROTOCOLS:
            inner = shape.member.serialization.get("name")
            if inner and self.protocol != "ec2":
                return inner
        return ser.get("name", name)

    def list_tag(self, shape, direction):
        if shape.serialization.get("flattened") or (self.protocol == "ec2" and direction == "in"):
            return None
        return shape.member.serialization.get("name", "item" if self.protocol == "ec2" else "member")

    def paths(self, shape, direction, wrapper=None):
        out, cycles = [], []
        if shape is None or shape.name not in self.reaching():
            return out, cycles
        payload = shape.serialization.get("payload") if self.protocol in REST_PROTOCOLS else None
        xml0 = [wrapper] if wrapper and direction == "out" else []
        whole = self.mark(shape) and not self.with_kinds
        if whole:  # the trait sits on the top-level structure: everything is secret
            row = {"path": "", "member": "", "in": "body", "type": "structure"}
            if self.protocol in XML_PROTOCOLS and direction == "out":
                row["xml"] = "/".join(xml0)
            out.append({**row, "trait": True})
        for name, m in shape.members.items():
            if whole and (self.protocol not in REST_PROTOCOLS or m.serialization.get("location") in (None, "statusCode")):
                continue
            if not whole and m.name not in self.reaching() and not (self.with_kinds and secret_kind(shape, name, m)):
                continue
            loc = m.serialization.get("location") if self.protocol in REST_PROTOCOLS else None
            kind = secret_kind(shape, name, m) if self.with_kinds else None
            if loc:
                base = {"in": {"headers": "prefixHeaders", "statusCode": "status"}.get(loc, loc)}
                if whole:
                    out.append({"path": m.serialization.get("name", name), "member": name, **base, "type": m.type_name, "trait": True})
                    continue
                self.visit(m, [m.serialization.get("name", name)], [], [], [name], base, out, cycles, [shape.name], kind, direction)
            elif payload == name:
                base = {"in": "payload"}
                self.visit(m, [], [], [], [name], base, out, cycles, [shape.name], kind, direction)
            else:
                base = {"in": "body"}
                w = self.member_name(name, m, direction)
                self.visit(m, [w], xml0 + [w], [w], [name], base, out, cycles, [shape.name], kind, direction)
        if self.mark(shape) and self.with_kinds:
            for row in out:
                row["trait"] = True
        return out, cycles

    def resolve(self, shape, member, wrapper=None):
        """Row for an output member given by its model path."""
        json_, xml, loc = [], [wrapper] if wrapper else [], "body"
        for i, part in enumerate(member.split(".")):
            if part == "*":
                tag = self.list_tag(shape, "out") if shape.type_name == "list" else "entry/value"
                shape = shape.member if shape.type_name == "list" else shape.value
                json_.append("*")
                if tag:
                    xml.append(tag)
                continue
            payload = i == 0 and self.protocol in REST_PROTOCOLS and shape.serialization.get("payload") == part
            shape = shape.members[part]
            if payload:
                loc = "payload"
                continue
            name = self.member_name(part, shape, "out")
            if i == 0 and self.protocol in REST_PROTOCOLS and shape.serialization.get("location"):
                loc = shape.serialization["location"]
            json_.append(name)
            xml.append(name)
        row = {"path": ".".join(json_), "member": member, "in": loc, "type": shape.type_name}
        if self.protocol in XML_PROTOCOLS and loc in ("body", "payload"):
            row["xml"] = "/".join(xml)
        return row

    def visit(self, shape, json_, xml, query, model, base, out, cycles, stack, kind, direction):
        if len(out) >= MAX_PATHS:
            return
        if self.mark(shape) or kind:
            row = {"path": ".".join(json_), "member": ".".join(model), **base, "type": shape.type_name}
            if base["in"] in ("body", "payload"):
                if self.protocol in XML_PROTOCOLS and not (self.protocol in QUERY_PROTOCOLS and direction == "in"):
                    row["xml"] = "/".join(xml)
                if self.protocol in QUERY_PROTOCOLS and direction == "in":
                    row["param"] = ".".join(query)
            if self.mark(shape):
                row["trait"] = True
            if kind:
                row["kind"] = kind
            out.append(row)
            if self.mark(shape):
                return
        if shape.type_name in ("structure", "list", "map"):
            if shape.name in stack:
                if shape.name in self.reaching():
                    cycles.append({"at": ".".join(json_), "shape": shape.name})
                return
            stack = stack + [shape.name]
        if shape.type_name == "structure":
            for name, m in shape.members.items():
                k = secret_kind(shape, name, m) if self.with_kinds else None
                if not k and m.name not in self.reaching():
                    continue
                w = self.member_name(name, m, direction)
                x = "@" + w if m.serialization.get("xmlAttribute") else w
                self.visit(m, json_ + [w], xml + [x], query + [w], model + [name], base, out, cycles, stack, k, direction)
        elif shape.type_name == "list":
            tag = self.list_tag(shape, direction)
            x = xml + [tag] if tag else xml
            q = query + ([tag, "*"] if tag else ["*"])
            if self.protocol == "ec2" and direction == "in":
                q = query + ["*"]
            self.visit(shape.member, json_ + ["*"], x, q, model + ["*"], base, out, cycles, stack, None, direction)
        elif shape.type_name == "map":
            flat = shape.serialization.get("flattened")
            vtag = shape.value.serialization.get("name", "value")
            x = xml + ([] if flat else ["entry"]) + [vtag]
            q = query + ([] if flat else ["entry"]) + ["*", vtag]
            if shape.value.name in self.reaching():
                self.visit(shape.value, json_ + ["*"], x, q, model + ["*"], base, out, cycles, stack, None, direction)
            if self.mark(shape.key):
                out.append({"path": ".".join(json_ + ["*"]), "member": ".".join(model + ["*"]), **base, "type": "map-key", "trait": True})
