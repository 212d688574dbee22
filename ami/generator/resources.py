"""A resource of the template as a block of Terraform."""
from expressions import Conditional, Json
from hcl import Block, Encoded, Expression
from hcl import value as value_text
from kinds import KINDS
from template import Mapping, snake

# Lists of name and value that Terraform writes as a map.
MAPS = {"Tags": "Key", "Dimensions": "Name"}
WHY_EGRESS = ("CloudFormation opens the way out of a security group by itself, Terraform closes it by itself.",)
EGRESS = {"protocol": "-1", "from_port": 0, "to_port": 0, "cidr_blocks": ["0.0.0.0/0"]}


class Resource:
    """One resource; `block` is what Terraform calls it."""

    def __init__(self, translator, key):
        self.translator = translator
        self.logical = str(key)
        self.comment = key.comment
        self.source = translator.resources[key]
        self.kind = KINDS[self.source["Type"]]
        self.name = snake(key)

    def block(self):
        block = Block("resource", self.kind.type, self.name)
        if "Condition" in self.source:
            block.add("count", Expression(f"local.{snake(self.source['Condition'])} ? 1 : 0"))
        for name, value in self.kind.only.items():
            block.add(name, self.name.replace("_", "-") if value is None else value)
        self.fill(block, self.translator.value(self.source.get("Properties", {})))
        for name, other in self.within():
            block.block(self.dynamic(name, f"local.{snake(other['Condition'])}", other["Properties"]))
        if self.source["Type"] == "AWS::EC2::SecurityGroup":
            egress = Block("egress")
            for name, value in EGRESS.items():
                egress.add(name, value)
            block.block(egress, WHY_EGRESS)
        if needed := self.needed():
            block.add("depends_on", [Expression(one) for one in needed], *self.why_needed())
        return block

    def within(self):
        """Resources of the template that Terraform writes as a block of this one: (block, resource)."""
        for other in self.translator.resources.values():
            kind = KINDS[other["Type"]]
            if kind.within and other["Properties"][kind.within]["Ref"] == self.logical:
                properties = {key: value for key, value in other["Properties"].items() if key != kind.within}
                yield kind.type, other | {"Properties": self.translator.value(Mapping(properties))}

    def fill(self, block, properties):
        """Adds properties to a block: attributes, and blocks within it."""
        inner = {}
        for key, value in properties.items():
            name = self.kind.names.get(key, snake(key))
            comment = getattr(key, "comment", ())
            if name is None:
                continue
            if isinstance(name, tuple):
                self.put(self.inside(block, inner, name[0]), name[1], key, value, comment)
            elif name == "":
                for one in value if isinstance(value, list) else [value]:
                    self.lifted(block, inner, one)
            else:
                self.put(block, name, key, value, comment)

    def inside(self, block, inner, name):
        """The block of that name, made at its first property."""
        if name not in inner:
            inner[name] = Block(name)
            block.block(inner[name])
        return inner[name]

    def lifted(self, block, inner, value):
        if "Key" not in value:
            self.fill(block, value)
            return
        name, setting = self.kind.settings[value["Key"]], plain(value["Value"])
        if isinstance(name, tuple):
            target = self.inside(block, inner, name[0])
            if name == ("stickiness", "enabled"):
                target.add("type", "source_ip")
            target.add(name[1], setting, value.comment)
        else:
            block.add(name, setting, value.comment)

    def put(self, block, name, key, value, comment):
        if key in self.kind.first:
            value = value[0]
        if key in self.kind.lists:
            value = [value]
        if key in MAPS and self.kind.type != "aws_autoscaling_group":
            block.add(name, {one[MAPS[key]]: one["Value"] for one in value}, comment)
        elif key in MAPS:
            self.blocks(block, "tag", value, comment)
        elif key == "Scheme":
            block.add(name, Expression(f'{value} == "internal"'), comment)
        elif key == "Matcher":
            block.add(name, value["HttpCode"], comment)
        elif key in self.kind.json or isinstance(value, Json):
            document = value.document if isinstance(value, Json) else value
            block.add(name, Encoded(document), comment)
        elif isinstance(value, list) and any(isinstance(one, (dict, Conditional)) for one in value):
            self.blocks(block, name, value, comment)
        elif isinstance(value, Mapping):
            child = Block(name)
            self.fill(child, value)
            block.block(child, comment)
        else:
            block.add(name, value, comment)

    def blocks(self, block, name, values, comment):
        """A list of mappings as blocks of one name."""
        for index, value in enumerate(values):
            own = value.comment or (comment if index == 0 else ())
            if isinstance(value, Conditional):
                block.block(self.dynamic(name, value.condition, value.value), own)
            else:
                child = Block(name)
                self.fill(child, value)
                block.block(child, own)

    def dynamic(self, name, condition, properties):
        """A block that is there under a condition."""
        content = Block("content")
        self.fill(content, properties)
        return Block("dynamic", name).add("for_each", Expression(f"{condition} ? [1] : []")).block(content)

    def needed(self):
        """Addresses of what must be there first: DependsOn, and what Metadata names for conditions' sake."""
        names = self.source.get("DependsOn", [])
        names = list(names) if isinstance(names, list) else [names]
        for one in self.source.get("Metadata", {}).get("After", []):
            names.append(one["Fn::If"][1]["Ref"])
        return [self.translator.address(name).removesuffix("[0]") for name in names]

    def why_needed(self):
        for key in self.source:
            if key == "DependsOn" and key.comment:
                return (key.comment,)
        return ()


def plain(setting):
    """A load balancer's settings are all text; Terraform's have types."""
    if setting in ("true", "false"):
        return setting == "true"
    if isinstance(setting, str) and not isinstance(setting, Expression) and setting.isdigit():
        return int(setting)
    return setting


class Alarms:
    """All alarms as one resource over a table of what differs."""

    def __init__(self, translator, keys):
        self.translator = translator
        self.keys = keys
        self.properties = {
            snake(key): translator.value(translator.resources[key]["Properties"]) for key in keys
        }

    def common(self, key):
        """The value most alarms have, None where none has a majority."""
        values = [str(flat(row[key])) for row in self.properties.values()]
        often = max(values, key=values.count)
        if values.count(often) * 2 <= len(values):
            return None
        return next(flat(row[key]) for row in self.properties.values() if str(flat(row[key])) == often)

    def blocks(self):
        rows = {name: {} for name in self.properties}
        block = Block("resource", "aws_cloudwatch_metric_alarm", "alarms")
        block.add("for_each", Expression("local.alarms"))
        for key in next(iter(self.properties.values())):
            name = snake(key)
            if key == "AlarmName":
                self.check_names()
                block.add(name, Expression('"${var.name}-${replace(each.key, "_", "-")}"'))
                continue
            common = self.common(key)
            values = {alarm: flat(row[key]) for alarm, row in self.properties.items()}
            own = {alarm: value for alarm, value in values.items() if value != common}
            for alarm, value in own.items():
                rows[alarm][name] = value
            if common is None:
                block.add(name, Expression(f"each.value.{name}"))
            else:
                block.add(name, Expression(f"try(each.value.{name}, {value_text(common)})") if own else common)
        return [Block("locals").add("alarms", rows), block]

    def check_names(self):
        for name, row in self.properties.items():
            if row["AlarmName"] != '"${var.name}-' + name.replace("_", "-") + '"':
                raise SystemExit(f"generate-terraform: the alarm {name} is not called after its resource")


def flat(value):
    """Dimensions as a map."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {one["Name"]: one["Value"] for one in value}
    return value


def subscription(translator, key):
    """A topic's subscription is a resource of its own in Terraform."""
    resource = translator.resources[key]
    one, = resource["Properties"]["Subscription"]
    block = Block("resource", "aws_sns_topic_subscription", f"{snake(key)}_subscription")
    if "Condition" in resource:
        block.add("count", Expression(f"local.{snake(resource['Condition'])} ? 1 : 0"))
    block.add("topic_arn", Expression(translator.reference(key)))
    for name, value in translator.value(one).items():
        block.add(snake(name), value)
    return block

