"""ami/operator-policy.json allows what the operator's work needs and nothing else."""
import json
import re
import sys
import unittest

import permissions
from templates import AMI, load_stack

sys.path.append(str(permissions.SCRIPTS))
from lib import costlib  # noqa: E402  (the path above comes first)

# Services whose endpoint has another name than IAM's prefix.
ENDPOINTS = {"cloudwatch": "monitoring"}

# Reading is not bound to a resource: most of these calls cannot be.
LOOKING = re.compile(r"\w+:(Describe|Get|List)\w+")
# Most characters of a managed policy in AWS, white space not counted.
POLICY_CHARACTERS_MAX = 6144


class Policy(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.statements = json.loads((AMI / "operator-policy.json").read_text())["Statement"]
        cls.resources = load_stack()["Resources"]
        cls.types = {one["Type"] for one in cls.resources.values()}

    def actions(self):
        return [action for one in self.statements for action in one["Action"]]

    def test_every_call_of_the_scripts_is_read(self):
        found = permissions.calls()
        for known in ("cloudformation:CreateStack", "cloudformation:UpdateStack", "autoscaling:RollbackInstanceRefresh",
                      "elasticloadbalancing:DescribeTargetHealth", "ssm:GetParameter", "s3:PutObject", "s3:GetObject"):
            self.assertIn(known, found)
        self.assertEqual(permissions.calls_in('aws s3 cp "$url/x" -\naws("s3", "cp", f"{URL}/x", "-")'), {"s3:GetObject"})
        self.assertIn("s3:PutObject", permissions.calls_in('aws("s3", "cp", "-", f"{URL}/x")'))

    def allowed(self):
        """{policy of the instances' role: actions}."""
        allowed = {}
        for name, one in self.resources.items():
            if one["Type"] == "AWS::IAM::Policy":
                for statement in one["Properties"]["PolicyDocument"]["Statement"]:
                    actions = statement["Action"]
                    allowed.setdefault(name, set()).update([actions] if isinstance(actions, str) else actions)
        return allowed

    def test_private_instances_reach_every_service_they_call(self):
        def endpoints(actions):
            services = {action.partition(":")[0] for action in actions}
            return {ENDPOINTS.get(service, service) for service in services}

        allowed = self.allowed()
        needed = endpoints(permissions.instance_calls() | allowed["ShellPolicy"])
        # S3 has a gateway endpoint, which costs nothing.
        self.assertEqual(needed - {"s3"}, set(costlib.ENDPOINTS))
        self.assertEqual(endpoints(allowed["LogPolicy"]), set(costlib.LOG_ENDPOINTS))
        told = re.findall(r"`com\.amazonaws\.REGION\.(\w+)`", (AMI / "README.md").read_text())
        self.assertEqual(set(told), needed | set(costlib.LOG_ENDPOINTS))

    def test_an_instance_may_do_what_its_scripts_do(self):
        allowed = self.allowed()
        # What the agents of Session Manager and for logs do.
        del allowed["ShellPolicy"], allowed["LogPolicy"]
        self.assertEqual(sorted(set().union(*allowed.values())), sorted(permissions.instance_calls()))

    def test_an_instance_writes_nowhere_but_where_it_tells_of_itself(self):
        reading, writing = self.resources["StorePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        ends = [one["Fn::Join"][1][-1] for one in (*reading["Resource"], writing["Resource"])]
        self.assertEqual(ends, ["/pointer.json", "/stores/*", "/instances/*"])
        script = (permissions.INSTANCE / "store").read_text()
        for end in ends:
            self.assertIn(end.removesuffix("*").removeprefix("/"), script)

    def test_it_allows_what_is_needed_and_no_more(self):
        self.assertLessEqual(self.types, set(permissions.MADE), "a type of resource without a row in permissions.py")
        self.assertEqual(sorted(set(self.actions())), sorted(permissions.needed(self.types)))

    def test_nothing_is_allowed_twice_or_by_a_pattern(self):
        actions = self.actions()
        self.assertEqual(len(actions), len(set(actions)))
        self.assertNotIn("*", "".join(actions))

    def test_what_changes_something_is_bound_to_the_fleet(self):
        for one in self.statements:
            if one["Resource"] == "*":
                free = [action for action in one["Action"] if not LOOKING.fullmatch(action)]
                # EC2 names what it makes by random ids.
                self.assertTrue(all(action.startswith("ec2:") for action in free), free)
            else:
                resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
                self.assertTrue(all(re.search(r"trid|aws-service-role", resource) for resource in resources), resources)
        passing, = [one for one in self.statements if "iam:PassRole" in one["Action"]]
        self.assertEqual(passing["Condition"], {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})

    def test_aws_takes_a_policy_of_this_size(self):
        text = json.dumps(json.loads((AMI / "operator-policy.json").read_text()), separators=(",", ":"))
        self.assertLess(len(text), POLICY_CHARACTERS_MAX)


if __name__ == "__main__":
    unittest.main()
