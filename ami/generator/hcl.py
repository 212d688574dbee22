"""Prints Terraform's language as `terraform fmt` does: attributes, blocks, lists, objects, comments."""
import re

WIDTH = 116


class Expression(str):
    """Printed as it is; other texts are quoted."""


class Encoded(dict):
    """Printed as jsonencode({…})."""


class Block:
    """`name "label" { … }`. Items are (comment, name, value); a value is an attribute's, or a Block."""

    def __init__(self, *heading):
        self.heading = heading
        self.items = []

    def add(self, name, value, comment=()):
        self.items.append((comment, name, value))
        return self

    def block(self, child, comment=()):
        return self.add(None, child, comment)


def quoted(text):
    """A text in quotes."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("${", "$${")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def name_of(key):
    return key if re.fullmatch(r"[A-Za-z_][\w-]*", key) else quoted(key)


def value(thing, indent=0):
    """An expression, on one line where it fits."""
    if isinstance(thing, Expression):
        return str(thing)
    if isinstance(thing, bool):
        return str(thing).lower()
    if thing is None:
        return "null"
    if isinstance(thing, Encoded):
        return f"jsonencode({multiline(thing, indent)})"
    if isinstance(thing, str):
        return quoted(thing)
    if not isinstance(thing, (dict, list)):
        return str(thing)
    line = one_line(thing)
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    return multiline(thing, indent)


def multiline(thing, indent):
    """An object or a list, each member on a line or more of its own; a list of one object in its brackets."""
    if isinstance(thing, list) and len(thing) == 1 and isinstance(thing[0], dict):
        return f"[{multiline(thing[0], indent)}]"
    pad = " " * (indent + 2)
    if isinstance(thing, dict):
        inner = aligned([(name_of(k), member(k, v, indent + 2)) for k, v in thing.items()], pad)
        opening, closing = "{", "}"
    else:
        inner = [f"{pad}{value(one, indent + 2)}," for one in thing]
        opening, closing = "[", "]"
    return "\n".join([opening, *inner, " " * indent + closing])


def member(name, thing, indent):
    """A value after its name: the name takes room on the first line."""
    line = value(thing, indent + len(name) + 4)
    return line if "\n" not in line else value(thing, indent)


def one_line(thing):
    if isinstance(thing, dict):
        pairs = ", ".join(f"{name_of(k)} = {one_line(v)}" for k, v in thing.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(thing, list):
        return "[" + ", ".join(one_line(one) for one in thing) + "]"
    return value(thing)


def aligned(pairs, pad):
    """`name = value` lines, equal signs below each other in runs of neighbours on one line each."""
    out, run = [], []

    def flush():
        width = max((len(name) for name, _ in run), default=0)
        out.extend(f"{pad}{name:<{width}} = {text}" for name, text in run)
        run.clear()

    for name, text in pairs:
        if "\n" in text:
            flush()
            out.append(f"{pad}{name} = {text}")
        else:
            run.append((name, text))
    flush()
    return out


def body(block, indent):
    pad = " " * indent
    out, run = [], []

    def flush():
        out.extend(aligned(run, pad))
        run.clear()

    for comment, name, thing in block.items:
        if comment:
            flush()
            out.extend(f"{pad}# {line}" for line in comment)
        if isinstance(thing, Block):
            flush()
            out.append(printed(thing, indent))
        else:
            run.append((name, value(thing, indent)))
    flush()
    return out


def printed(block, indent=0):
    first, *labels = block.heading
    heading = " ".join([first, *(quoted(label) for label in labels)])
    lines = body(block, indent + 2)
    pad = " " * indent
    return f"{pad}{heading} {{\n" + "\n".join(lines) + f"\n{pad}}}" if lines else f"{pad}{heading} {{}}"
