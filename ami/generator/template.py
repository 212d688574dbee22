"""Reads ami/stack.yaml: values with intrinsic functions as {"Ref": …} and {"Fn::…": …}, and the comments above them."""
import pathlib
import re

import yaml

AMI = pathlib.Path(__file__).resolve().parents[1]


class Key(str):
    """Key of a mapping, with the comment above it."""

    comment = ()

    def renamed(self, name):
        key = Key(name)
        key.comment = self.comment
        return key


class Mapping(dict):
    """A mapping, with the comment above it where it is an item of a list."""

    comment = ()


class Reader:
    def __init__(self, text):
        self.lines = text.splitlines()
        self.loader = yaml.SafeLoader(text)
        self.used = set()

    def comment_above(self, node):
        """Lines of the comment that ends directly above a node; each comment belongs to one node."""
        line = node.start_mark.line - 1
        found = []
        while line >= 0 and self.lines[line].lstrip().startswith("#") and line not in self.used:
            self.used.add(line)
            found.insert(0, self.lines[line].strip().removeprefix("#").strip())
            line -= 1
        return tuple(found)

    def read(self, node):
        if not node.tag.startswith("!") or node.tag.startswith("!!"):
            return self.plain(node)
        name = node.tag[1:]
        value = self.plain(node)
        if name == "GetAtt":
            value = ".".join(value) if isinstance(value, list) else value
        return Mapping({name if name in ("Ref", "Condition") else f"Fn::{name}": value})

    def plain(self, node):
        if isinstance(node, yaml.MappingNode):
            out = Mapping()
            for name, value in node.value:
                key = Key(name.value)
                key.comment = self.comment_above(name)
                out[key] = self.read(value)
            return out
        if isinstance(node, yaml.SequenceNode):
            return [self.item(one) for one in node.value]
        if node.tag.startswith("tag:"):
            return self.loader.construct_object(node)
        return node.value

    def item(self, node):
        comment = self.comment_above(node)
        value = self.read(node)
        if isinstance(value, Mapping):
            value.comment = comment
        return value


def load_stack(path=AMI / "stack.yaml"):
    reader = Reader(path.read_text())
    return reader.read(reader.loader.get_single_node())


def snake(name):
    """FleetMin -> fleet_min, VPCZoneIdentifier -> vpc_zone_identifier, TargetGroupARNs -> target_group_arns."""
    name = name.replace("ARNs", "Arns").replace("VPC", "Vpc").replace("DNS", "Dns").replace("IP", "Ip")
    name = name.replace("GiB", "Gib").replace("AutoScaling", "Autoscaling")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
