"""ami/terraform is what scripts/generate-terraform makes of ami/stack.yaml, and nothing of the template is lost in it."""
import json
import re
import subprocess
import sys
import unittest
from collections import Counter

from templates import AMI, Module, load_stack, snake

# Written by hand, because CloudFormation has no counterpart.
BY_HAND = {"versions.tf", "moved.tf"}
# Resources that are a block of another one in Terraform.
WITHIN = {"WarmPool": "Fleet"}
# Names within lists of name and value, which Terraform spells as attributes.
RESTATED = {"Key"}


def literals(value, key=None):
    """Every plain value below, as text; what functions take as arguments is not one."""
    if isinstance(value, dict):
        if len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::")):
            return []
        return [one for k, inner in value.items() if k not in RESTATED for one in literals(inner, k)]
    if isinstance(value, list):
        return [one for inner in value for one in literals(inner, key)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def parameters(value, known):
    """Names of the parameters that are used anywhere below."""
    text = json.dumps(value)
    found = re.findall(r'"Ref": "(\w+)"', text) + re.findall(r"\$\{(\w+)\}", text)
    return {name for name in found if name in known}


class Terraform(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.stack, cls.module = load_stack(), Module()
        cls.resources = cls.stack["Resources"]
        # Those over one metric; one over several is a resource like any other.
        cls.alarms = {n: r for n, r in cls.resources.items()
                      if r["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" not in r["Properties"]}

    def test_the_files_are_what_the_generator_makes(self):
        script = AMI.parent / "scripts/generate-terraform"
        run = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, f"run scripts/generate-terraform\n{run.stdout}{run.stderr}")

    def test_no_file_is_left_over(self):
        made = {path.name for path in (AMI / "terraform").glob("*.tf")
                if path.read_text().startswith("# Made by scripts/generate-terraform")}
        self.assertEqual({path.name for path in (AMI / "terraform").iterdir()} - BY_HAND, made)

    def test_every_resource_parameter_and_output_is_there(self):
        ours = {snake(name) for name in self.resources if name not in self.alarms and name not in WITHIN}
        self.assertEqual(ours | {"alarms", "alarm_topic_subscription"}, set(self.module.resources))
        self.assertEqual({snake(name) for name in self.stack["Parameters"]} | {"name"}, set(self.module.variables))
        self.assertEqual({snake(name) for name in self.stack["Outputs"]}, set(self.module.outputs))

    def body(self, name):
        """The text of a resource, and of what Terraform keeps beside it."""
        beside = [self.module.resources["alarm_topic_subscription"]] if name == "AlarmTopic" else []
        return json.dumps([self.module.resources[snake(WITHIN.get(name, name))], *beside])

    def test_no_value_is_lost(self):
        """Counted without the generator's table of names: whatever a property is called, its value is there as often."""
        for name, resource in self.resources.items():
            if name in self.alarms or "Properties" not in resource:
                continue
            with self.subTest(name):
                body = self.body(name)
                there = Counter(re.findall(r"[^\s\"\\\[\](){},=]+", body))
                wanted = Counter(word for one in literals(resource["Properties"])
                                 for word in re.findall(r"[^\s\"\\\[\](){},=]+", one))
                self.assertEqual(wanted - there, Counter())
                for parameter in parameters(resource["Properties"], self.stack["Parameters"]):
                    self.assertIn(f"var.{snake(parameter)}", body + json.dumps(self.module.locals))

    def test_alarms(self):
        table = self.module.locals["alarms"]
        self.assertEqual({snake(name) for name in self.alarms}, set(table))
        shared = self.module.resources["alarms"]
        for name, alarm in self.alarms.items():
            for key in ("MetricName", "Namespace", "Statistic", "Period", "EvaluationPeriods", "ComparisonOperator",
                        "TreatMissingData", "Threshold"):
                default = re.sub(r'.*, "?([^",)]+)"?\)\}?$', r"\1", str(shared[snake(key)]))
                value = str(table[snake(name)].get(snake(key), default))
                wanted = alarm["Properties"][key]
                wanted = f"${{var.{snake(wanted['Ref'])}}}" if isinstance(wanted, dict) else str(wanted)
                self.assertEqual(value, wanted, f"{name}.{key}")


if __name__ == "__main__":
    unittest.main()
