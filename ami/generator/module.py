"""The whole template as the files of a Terraform module."""
import re

from expressions import Translator
from hcl import Block, Expression, printed, quoted, value
from kinds import KINDS
from resources import Alarms, Resource, subscription
from template import load_stack, snake

HEAD = "# Made by scripts/generate-terraform from ami/stack.yaml: change that one.\n"
# Where the resources of each section of the template go; a section begins with `# --- title ---`.
FILES = {
    "network, unless one is given": "network.tf",
    "who may talk to whom": "network.tf",
    "what an instance may do": "role.tf",
    "the instances": "instances.tf",
    "the balancer": "balancer.tf",
    "alarms (ami/README.md says what to do about each) and dashboard": "alarms.tf",
}
DATA = """\
data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_availability_zones" "zones" {
  state = "available"
}

"""
PLACE = {
    "partition": "data.aws_partition.current.partition",
    "region": "data.aws_region.current.name",
    "account": "data.aws_caller_identity.current.account_id",
}


def files():
    """{name: text} of every file that is generated."""
    template = load_stack()
    translator = Translator(template)
    out = {"variables.tf": variables(template), "locals.tf": places(template, translator)}
    out |= resources(template, translator)
    out["outputs.tf"] = outputs(template, translator)
    return {name: HEAD + "\n" + text for name, text in out.items()}


def text_of(blocks):
    """Blocks with their comments, an empty line between."""
    parts = ["".join(f"# {line}\n" for line in comment) + printed(block) + "\n" for comment, block in blocks]
    return "\n".join(parts)


def section(key):
    """The section a resource begins, and the rest of its comment."""
    if key.comment and (title := re.fullmatch(r"-+ (.*?) -+", key.comment[0])):
        return title[1], key.comment[1:]
    return None, key.comment


def resources(template, translator):
    placed, current, alarms = {}, None, []
    for key in template["Resources"]:
        title, comment = section(key)
        current = FILES[title] if title else current
        key.comment = comment
        kind = template["Resources"][key]["Type"]
        into = placed.setdefault(current, [])
        if KINDS[kind].within:
            continue
        # One over several metrics is a resource of its own: it has too little in common with the others.
        if kind == "AWS::CloudWatch::Alarm" and "Metrics" not in template["Resources"][key]["Properties"]:
            alarms.append(key)
            continue
        if alarms:
            into.extend(((), block) for block in Alarms(translator, alarms).blocks())
            alarms = []
        into.append((comment, Resource(translator, key).block()))
        if kind == "AWS::SNS::Topic":
            into.append(((), subscription(translator, key)))
    return {name: text_of(blocks) for name, blocks in placed.items()}


def places(template, translator):
    block = Block("locals")
    for name, expression in PLACE.items():
        block.add(name, Expression(expression))
    conditions = Block("locals")
    for name, condition in template["Conditions"].items():
        conditions.add(snake(name), translator.value(condition))
    return DATA + text_of([((), block), ((), conditions)])


def in_snake(description, parameters):
    """A description that names other parameters names them in Terraform's spelling."""
    return re.sub(r"[A-Z]\w+", lambda word: snake(word[0]) if word[0] in parameters else word[0], description)


def is_switch(parameter):
    return [str(one) for one in parameter.get("AllowedValues", [])] == ["true", "false"]


def type_of(parameter):
    if is_switch(parameter):
        return "bool"
    return {"Number": "number", "CommaDelimitedList": "list(string)"}.get(parameter["Type"], "string")


def default_of(parameter):
    default, kind = parameter["Default"], type_of(parameter)
    if kind == "bool":
        return default == "true"
    if kind == "list(string)":
        return [one for one in default.split(",") if one]
    return default


def variables(template):
    name = Block("variable", "name")
    name.add("description", "Name of everything; the stack's name in CloudFormation")
    name.add("type", Expression("string")).add("default", "trident")
    blocks = [((), name)]
    for key, parameter in template["Parameters"].items():
        block = Block("variable", snake(key))
        block.add("description", in_snake(parameter["Description"], template["Parameters"]))
        block.add("type", Expression(type_of(parameter)))
        if "Default" in parameter:
            block.add("default", default_of(parameter))
        for condition, message in demands(snake(key), parameter):
            block.block(Block("validation").add("condition", Expression(condition)).add("error_message", message))
        blocks.append(((), block))
    return text_of(blocks)


def demands(name, parameter):
    """What CloudFormation checks of a parameter: (condition, message)."""
    if "AllowedPattern" in parameter:
        pattern = f"^(?:{parameter['AllowedPattern']})$"
        yield f"can(regex({quoted(pattern)}, var.{name}))", f"{name} must match {parameter['AllowedPattern']}"
    if "AllowedValues" in parameter and not is_switch(parameter):
        values = parameter["AllowedValues"]
        yield f"contains({value(values)}, var.{name})", f"{name} must be one of {', '.join(map(str, values))}"
    if "MinValue" in parameter:
        yield f"var.{name} >= {parameter['MinValue']}", f"{name} must be at least {parameter['MinValue']}"
    if "MaxValue" in parameter:
        yield f"var.{name} <= {parameter['MaxValue']}", f"{name} must be at most {parameter['MaxValue']}"


def outputs(template, translator):
    blocks = []
    for key, output in template["Outputs"].items():
        block = Block("output", snake(key))
        block.add("description", output["Description"]).add("value", translator.value(output["Value"]))
        blocks.append(((), block))
    return text_of(blocks)
