"""Reads ami/stack.yaml and ami/terraform into one form, so that tests can compare values.

A resource becomes {path: value}, with paths in Terraform's spelling ("health_check.interval") and values as
plain text. References become `ref:<resource>` and `var:<parameter>`, whatever the language calls them.
"""
import pathlib
import re

import hcl2
import yaml

AMI = pathlib.Path(__file__).resolve().parents[2] / "ami"


def snake(name):
    """FleetMin -> fleet_min, VPCZoneIdentifier -> vpc_zone_identifier, TargetGroupARNs -> target_group_arns."""
    name = name.replace("ARNs", "Arns").replace("VPC", "Vpc").replace("DNS", "Dns").replace("IP", "Ip")
    name = name.replace("GiB", "Gib").replace("AutoScaling", "Autoscaling")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# --- CloudFormation ---------------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    """YAML with the short forms of intrinsic functions."""


def intrinsic(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", intrinsic)


def load_stack(path=AMI / "stack.yaml"):
    return yaml.load(path.read_text(), Loader)


class Stack:
    """The template with its references resolved to names."""

    def __init__(self):
        self.template = load_stack()
        self.parameters = self.template["Parameters"]
        self.resources = self.template["Resources"]

    def reference(self, name):
        if name == "AWS::StackName":
            return "var:name"
        if name.startswith("AWS::"):
            return f"aws:{name[5:].lower()}"
        return f"var:{snake(name)}" if name in self.parameters else f"ref:{snake(name)}"

    def value(self, value):
        """A leaf as text; lists and mappings are the business of `flat`."""
        if isinstance(value, dict) and len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref":
                return self.reference(argument)
            if function == "Fn::GetAtt":
                return self.reference(argument.split(".")[0])
            if function == "Fn::Sub":
                named = re.sub(r"\$\{([\w:]+)(\.\w+)?\}", lambda m: f"<{self.reference(m[1])}>", argument)
                return named.strip()
            if function == "Fn::Base64":
                return self.value(argument)
            if function == "Fn::If":
                return f"if:{snake(argument[0])}"
            if function in ("Fn::Join", "Fn::Select"):
                return f"call:{function[4:].lower()}"
        if isinstance(value, bool):
            return str(value).lower()
        return str(value)

    def flat(self, logical):
        """Properties of a resource as {path: text}."""
        out = {}
        self.flatten("", self.resources[logical].get("Properties", {}), out)
        return out

    def flatten(self, path, value, out):
        if isinstance(value, dict) and not any(k == "Ref" or k.startswith("Fn::") for k in value):
            for key, inner in value.items():
                self.flatten(f"{path}.{snake(key)}".lstrip("."), inner, out)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                named = isinstance(inner, dict) and (inner.get("Key") or inner.get("Name"))
                if named and isinstance(named, str) and "Value" in inner:
                    out[f"{path}[{named}]"] = self.value(inner["Value"])
                else:
                    self.flatten(f"{path}.{index}", inner, out)
        else:
            out[path] = self.value(value)


# --- Terraform --------------------------------------------------------------------------------------------


def unquoted(value):
    if isinstance(value, dict):
        return {unquoted(k): unquoted(v) for k, v in value.items() if k not in ("__is_block__", "__comments__")}
    if isinstance(value, list):
        return [unquoted(v) for v in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


class Module:
    """The Terraform module: `resources` maps names to (type, body), `variables` names to bodies."""

    def __init__(self, directory=AMI / "terraform"):
        self.resources, self.variables, self.outputs = {}, {}, {}
        for path in sorted(directory.glob("*.tf")):
            with path.open() as file:
                parsed = unquoted(hcl2.load(file))
            for block in parsed.get("resource", []):
                for kind, named in block.items():
                    for name, body in named.items():
                        assert name not in self.resources, f"two resources called {name}"
                        self.resources[name] = (kind, body)
            for kind, into in (("variable", self.variables), ("output", self.outputs)):
                for block in parsed.get(kind, []):
                    into.update(block)

    def value(self, value):
        if isinstance(value, bool):
            return str(value).lower()
        text = str(value)
        text = re.sub(r"\$\{aws_\w+\.(\w+)(\[0\])?\.\w+\}", r"<ref:\1>", text)
        text = re.sub(r"\$\{var\.(\w+)\}", r"<var:\1>", text)
        text = re.sub(r"\$\{local\.(\w+)\}", r"<local:\1>", text)
        whole = re.fullmatch(r"<([a-z]+:\w+)>", text)
        return whole[1] if whole else text

    def flat(self, name):
        out = {}
        self.flatten("", self.resources[name][1], out)
        return out

    def flatten(self, path, value, out):
        encoded = isinstance(value, str) and re.fullmatch(r"\$\{jsonencode\((.*)\)\}", value, re.S)
        if encoded:
            value = unquoted(hcl2.loads(f"x = {encoded[1]}\n"))["x"]
        if isinstance(value, dict):
            for key, inner in value.items():
                named = path.endswith(("tags", "dimensions"))
                step = f"[{key}]" if named else f".{snake(key)}"
                self.flatten(f"{path}{step}".lstrip("."), inner, out)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self.flatten(f"{path}.{index}", inner, out)
        else:
            out[path] = self.value(value)
