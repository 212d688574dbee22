"""CloudFormation's intrinsic functions in Terraform's language."""
import json
import re
from dataclasses import dataclass

from hcl import Expression, quoted
from kinds import KINDS
from template import Mapping, snake

PSEUDO = {
    "AWS::StackName": "var.name",
    "AWS::Region": "local.region",
    "AWS::Partition": "local.partition",
    "AWS::AccountId": "local.account",
    "AWS::NoValue": "null",
}


class Translator:
    def __init__(self, template):
        self.template = template
        self.parameters = template["Parameters"]
        self.resources = template["Resources"]

    # --- names -----------------------------------------------------------------------------------------------

    def address(self, logical):
        """Terraform's address of a resource; one that may be absent is a list."""
        resource = self.resources[logical]
        index = "[0]" if "Condition" in resource else ""
        return f"{KINDS[resource['Type']].type}.{snake(logical)}{index}"

    def reference(self, name):
        """What `!Ref NAME` stands for."""
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return f"var.{snake(name)}"
        return f"{self.address(name)}.{KINDS[self.resources[name]['Type']].reference}"

    def attribute(self, path):
        """What `!GetAtt NAME.ATTRIBUTE` stands for."""
        name, _, attribute = path.partition(".")
        return f"{self.address(name)}.{KINDS[self.resources[name]['Type']].attributes[attribute]}"

    def named(self, name):
        """What `${NAME}` in a text stands for."""
        return self.attribute(name) if "." in name else self.reference(name)

    # --- values ----------------------------------------------------------------------------------------------

    def value(self, thing):
        """A value with every function in it replaced."""
        if isinstance(thing, dict) and len(thing) == 1:
            (function, argument), = thing.items()
            if function == "Ref":
                return Expression(self.reference(argument))
            if function.startswith("Fn::"):
                called = self.call(function.removeprefix("Fn::"), argument)
                return called if isinstance(called, Expression) else Expression(called)
        if isinstance(thing, dict):
            out = Mapping({key: self.value(inner) for key, inner in thing.items()})
            out.comment = getattr(thing, "comment", ())
            return out
        if isinstance(thing, list):
            return [self.item(inner) for inner in thing]
        return thing

    def item(self, thing):
        """A member of a list; a mapping that a condition may leave out is a Conditional."""
        if isinstance(thing, dict) and "Fn::If" in thing:
            condition, yes, no = thing["Fn::If"]
            if no == {"Ref": "AWS::NoValue"} and isinstance(yes, dict) and "Ref" not in yes:
                return Conditional(f"local.{snake(condition)}", self.value(yes), thing.comment)
        return self.value(thing)

    def text(self, thing):
        """An expression as text within a line of Terraform."""
        thing = self.value(thing)
        if isinstance(thing, list):
            return "[" + ", ".join(self.text(one) for one in thing) + "]"
        return str(thing) if isinstance(thing, Expression) else quoted(thing) if isinstance(thing, str) else str(thing)

    def call(self, function, argument):
        handler = getattr(self, f"call_{function.lower()}", None)
        if handler is None:
            raise SystemExit(f"generate-terraform: no translation of Fn::{function}: add one to ami/generator/expressions.py")
        return handler(argument)

    def call_getatt(self, path):
        return self.attribute(path)

    def call_sub(self, text):
        if text.lstrip().startswith("{"):
            return self.json_of(text)
        return self.interpolated(quoted(text).replace("$${", "${"))

    def interpolated(self, text):
        return re.sub(r"\$\{([\w:.]+)\}", lambda found: "${" + self.named(found[1]) + "}", text)

    def json_of(self, text):
        """A JSON document with references in its strings."""
        def whole(one):
            if isinstance(one, dict):
                return {key: whole(inner) for key, inner in one.items()}
            if isinstance(one, list):
                return [whole(inner) for inner in one]
            if isinstance(one, str) and (found := re.fullmatch(r"\$\{([\w:.]+)\}", one)):
                return Expression(self.named(found[1]))
            return one
        return Json(whole(json.loads(text)))

    def call_if(self, argument):
        condition, yes, no = argument
        return f"local.{snake(condition)} ? {self.text(yes)} : {self.text(no)}"

    def call_not(self, argument):
        inner, = argument
        (function, operands), = inner.items()
        if function == "Fn::Equals":
            return f"{self.text(operands[0])} != {self.text(operands[1])}"
        return f"!({self.text(inner)})"

    def call_equals(self, argument):
        return f"{self.text(argument[0])} == {self.text(argument[1])}"

    def call_select(self, argument):
        index, items = argument
        return f"{self.text(items)}[{index}]"

    def call_getazs(self, _):
        return "data.aws_availability_zones.zones.names"

    def call_split(self, argument):
        return f"split({self.text(argument[0])}, {self.text(argument[1])})"

    def call_join(self, argument):
        separator, items = argument
        if separator:
            return f"join({self.text(separator)}, {self.text(items)})"
        parts = [self.text(one) for one in items]
        return '"' + "".join(p[1:-1] if p.startswith('"') else "${" + p + "}" for p in parts) + '"'

    def call_base64(self, argument):
        lines = self.interpolated(argument["Fn::Sub"]).rstrip("\n").split("\n")
        text = "\n".join(f"    {line}" for line in lines)
        return f"base64encode(<<-DATA\n{text}\n  DATA\n  )"


@dataclass
class Conditional:
    """A block that is there under a condition."""

    condition: str
    value: dict
    comment: tuple


class Json(Expression):
    """A document given as jsonencode(…)."""

    def __new__(cls, document):
        self = super().__new__(cls, "jsonencode(…)")
        self.document = document
        return self
