"""The shapes of a service's inputs: which member each wire name is, and its type.

One line a shape, numbered from 0; the first word says what it is:

    S string   I integer   D floating point   B boolean   T timestamp   X blob   J document
    V JSON as text, in base64 where it is in a header
    L N [name]           list of shape N; name of the element around each (default member)
    F N                  flattened list of shape N
    M N [key value]      map to shape N; the element around each is entry
    G N [key value]      flattened map
    R member ...         structure; a member is Name@N, or Name=wire@N where it is called otherwise,
                         with ! in front where it is bound to the path, query or headers, ^ where it is
                         an XML attribute
"""

SCALARS = {
    "string": "S", "character": "S", "integer": "I", "long": "I", "short": "I", "byte": "I", "bigInteger": "I",
    "double": "D", "float": "D", "bigDecimal": "D", "boolean": "B", "timestamp": "T", "blob": "X",
}


class ShapeTable:
    """Numbers the input shapes of one service."""

    def __init__(self, protocols):
        self.protocols = set(protocols)
        self.lines = []
        self.numbers = {}

    def add(self, shape):
        """The number of shape."""
        key = self.key(shape)
        if key in self.numbers:
            return self.numbers[key]
        n = self.numbers[key] = len(self.lines)
        self.lines.append("")  # shapes contain themselves
        self.lines[n] = self.line(shape)
        return n

    def key(self, shape):
        scalar = self.scalar(shape)
        return scalar or (shape.name, bool(shape.serialization.get("flattened")))

    def scalar(self, shape):
        if getattr(shape, "is_document_type", False):
            return "J"
        if shape.serialization.get("jsonvalue"):
            return "V"
        return SCALARS.get(shape.type_name)

    def line(self, shape):
        scalar = self.scalar(shape)
        if scalar:
            return scalar
        ec2 = "ec2" in self.protocols
        if shape.type_name == "list":
            n = self.add(shape.member)
            name = shape.member.serialization.get("name", "member")
            if ec2 or shape.serialization.get("flattened"):
                return "F %d" % n
            return "L %d" % n if name == "member" else "L %d %s" % (n, name)
        if shape.type_name == "map":
            n = self.add(shape.value)
            names = [shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")]
            line = ("G %d" if shape.serialization.get("flattened") else "M %d") % n
            return line if names == ["key", "value"] else " ".join([line] + names)
        words = ["R"]
        for name, member in shape.members.items():
            wire = self.wire(name, member)
            mark = ""
            if member.serialization.get("location") in ("uri", "querystring", "header", "headers"):
                mark = "!"
            elif member.serialization.get("xmlAttribute"):
                mark = "^"
            words.append("%s%s%s@%d" % (mark, name, "" if wire == name else "=" + wire, self.add(member)))
        return " ".join(words)

    def wire(self, name, member):
        """The name on the wire, as botocore's serializers give it."""
        if "ec2" in self.protocols:
            if "queryName" in member.serialization:
                return member.serialization["queryName"]
            wire = member.serialization.get("name", name)
            return wire[:1].upper() + wire[1:]
        flat = member.type_name == "list" and member.serialization.get("flattened")
        if flat and "query" in self.protocols and member.member.serialization.get("name"):
            return member.member.serialization["name"]
        return member.serialization.get("name", name)
