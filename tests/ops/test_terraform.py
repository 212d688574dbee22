"""ami/terraform is ami/stack.yaml, resource by resource and value by value."""
import json
import re
import unittest

from templates import Module, Stack, snake

# A resource's CloudFormation paths in Terraform's words; first match wins, others are the same in both.
RENAMED = {
    "AWS::EC2::SecurityGroup": [
        (r"group_description$", "description"),
        (r"security_group_ingress\.cidr_ip", "ingress.cidr_blocks"),
        (r"security_group_ingress\.source_security_group_id", "ingress.security_groups"),
        (r"security_group_ingress\.ip_protocol", "ingress.protocol"),
        (r"security_group_ingress", "ingress"),
    ],
    "AWS::IAM::Role": [(r"assume_role_policy_document", "assume_role_policy")],
    "AWS::IAM::Policy": [(r"policy_name", "name"), (r"roles", "role"), (r"policy_document", "policy")],
    "AWS::IAM::InstanceProfile": [(r"roles", "role")],
    "AWS::EC2::LaunchTemplate": [
        (r"launch_template_data\.security_group_ids", "vpc_security_group_ids"),
        (r"launch_template_data\.", ""),
    ],
    "AWS::AutoScaling::AutoScalingGroup": [
        (r"autoscaling_group_name", "name"),
        (r"launch_template\.launch_template_id", "launch_template.id"),
        (r"lifecycle_hook_specification_list(.*)lifecycle_hook_name", r"initial_lifecycle_hook\1name"),
        (r"lifecycle_hook_specification_list", "initial_lifecycle_hook"),
        (r"metrics_collection\.granularity", "metrics_granularity"),
        (r"metrics_collection\.metrics", "enabled_metrics"),
        (r"tags\[Name\]", "tag.value"),
    ],
    "AWS::ElasticLoadBalancingV2::LoadBalancer": [
        (r".*\[load_balancing.cross_zone.enabled\]", "enable_cross_zone_load_balancing"),
        (r".*\[deletion_protection.enabled\]", "enable_deletion_protection"),
        (r"^type$", "load_balancer_type"),
        (r"^scheme$", "internal"),
    ],
    "AWS::ElasticLoadBalancingV2::TargetGroup": [
        (r".*\[deregistration_delay.timeout_seconds\]", "deregistration_delay"),
        (r".*\[deregistration_delay.connection_termination.enabled\]", "connection_termination"),
        (r".*\[target_health_state.unhealthy.connection_termination.enabled\]",
         "target_health_state.enable_unhealthy_connection_termination"),
        (r".*\[target_health_state.unhealthy.draining_interval_seconds\]",
         "target_health_state.unhealthy_draining_interval"),
        (r".*\[preserve_client_ip.enabled\]", "preserve_client_ip"),
        (r".*\[proxy_protocol_v2.enabled\]", "proxy_protocol_v2"),
        (r".*\[stickiness.enabled\]", "stickiness.enabled"),
        (r"health_check_(interval|timeout)_seconds", r"health_check.\1"),
        (r"health_check_(\w+)", r"health_check.\1"),
        (r"(un)?healthy_threshold_count", r"health_check.\1healthy_threshold"),
        (r"matcher.http_code", "health_check.matcher"),
    ],
    "AWS::ElasticLoadBalancingV2::Listener": [
        (r"default_actions", "default_action"),
        (r".*\[tcp.idle_timeout.seconds\]", "tcp_idle_timeout_seconds"),
    ],
}

# Paths only Terraform has: names CloudFormation makes up, and defaults that differ between the two.
TERRAFORM_ONLY = re.compile(
    r"count$|depends_on|egress\.|scheduled_action_name$|stickiness\.type$|tag\.(key|propagate)"
)
SCHEDULE_UNCHANGED = {"max_size": "-1", "desired_capacity": "-1"}

# Two spellings of one value: CloudFormation's, then Terraform's.
SAME = {
    ("if:make_network", "local:vpc_id"),
    ("if:make_network", "local:subnet_ids"),
    ("if:has_email", "local:alarm_actions"),
    ("var:scheme", '${var.scheme == "internal"}'),
    ("call:select", "${data.aws_availability_zones.zones.names[0]}"),
    ("call:select", "${data.aws_availability_zones.zones.names[1]}"),
    ("call:join", 'arn:<local:partition>:s3:::${trimprefix(var.store_url, "s3://")}'),
}

# Terraform's type of each CloudFormation type, where the pair is not obvious from the name alone.
CONDITION_COUNT = {
    "MakeNetwork": "${local.make_network ? 1 : 0}",
    "HasAuthKey": '${var.auth_key_parameter == "" ? 0 : 1}',
    "HasStore": '${var.store_url == "" ? 0 : 1}',
    "HasEmail": "${local.has_email ? 1 : 0}",
    "HasWarm": "${var.warm_min == 0 ? 0 : 1}",
}


def without_index(path):
    """CloudFormation has lists where Terraform has blocks and the other way round: `x.0.y` is `x.y`."""
    return re.sub(r"\.0(?=\.|$|\[)", "", path)


def words(text):
    """Every value of a dashboard or a user data text, whatever the syntax around it."""
    return re.findall(r"[\w/.:<>%-]+", text.replace("local:region", "aws:region"))


def same(cfn, terraform):
    text = terraform.replace("local:partition", "aws:partition").replace("local:region", "aws:region")
    text = text.replace("local:account", "aws:accountid")
    return cfn == text or (cfn, terraform) in SAME


class Equal(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.stack, cls.module = Stack(), Module()

    def test_the_same_resources(self):
        ours = {snake(name) for name in self.stack.resources}
        # CloudFormation writes a topic's subscription into the topic.
        self.assertEqual(ours, set(self.module.resources) - {"alarm_mail"})

    def test_the_same_parameters(self):
        theirs = {snake(name): body for name, body in self.stack.parameters.items()}
        self.assertEqual(set(theirs), set(self.module.variables) - {"name"})
        for name, body in theirs.items():
            variable = self.module.variables[name]
            default = variable.get("default")
            default = "" if default in (None, []) else default
            default = str(default).lower() if isinstance(default, bool) else str(default)
            self.assertEqual(str(body.get("Default", "")), default, name)
            description = body["Description"].replace("VpcId", "vpc_id").replace("InstanceType", "instance_type")
            description = description.replace("WarmStart", "warm_start").replace("WarmEnd", "warm_end")
            self.assertEqual(description, variable["description"], name)

    def test_the_same_outputs(self):
        self.assertEqual({snake(name) for name in self.stack.template["Outputs"]}, set(self.module.outputs))

    def test_the_same_values(self):
        for logical, resource in self.stack.resources.items():
            name = snake(logical)
            with self.subTest(logical):
                count = self.module.resources[name][1].get("count")
                self.assertEqual(CONDITION_COUNT.get(resource.get("Condition")), count)
                if resource["Type"] not in ("AWS::CloudWatch::Dashboard",):
                    self.compare(resource["Type"], self.stack.flat(logical), self.module.flat(name))

    def compare(self, kind, cfn, terraform):
        theirs = {without_index(path): value for path, value in terraform.items()}
        theirs = {path: value for path, value in theirs.items() if not TERRAFORM_ONLY.search(path)}
        if kind == "AWS::AutoScaling::ScheduledAction":
            theirs = {p: v for p, v in theirs.items() if SCHEDULE_UNCHANGED.get(p) != v}
        if kind == "AWS::AutoScaling::ScalingPolicy":
            theirs.pop("name")
        if kind == "AWS::SNS::Topic":
            subscription = self.module.flat("alarm_mail")
            theirs.update({f"subscription.{p}": subscription[p] for p in ("endpoint", "protocol")})
        ours = {}
        for path, value in cfn.items():
            path = without_index(path)
            for pattern, replacement in RENAMED.get(kind, []):
                path, found = re.subn(pattern, replacement, path, count=1)
                if found:
                    break
            ours[path] = value
        self.assertEqual(set(ours), set(theirs))
        for path, value in ours.items():
            if path == "user_data":
                text = re.sub(r'.*<<-DATA\n|DATA\W*$', "", theirs[path], flags=re.S)
                self.assertEqual(words(value), words(text))
            else:
                self.assertTrue(same(value, theirs[path]), f"{path}: {value} is not {theirs[path]}")

    def test_the_same_dashboard(self):
        body = re.sub(r"<(ref:\w+)>", r"\1", self.stack.flat("Dashboard")["dashboard_body"])
        body = body.replace("<var:name>", "var:name").replace("<aws:region>", "aws:region")
        ours, out = json.loads(body), {}
        self.module.flatten("", self.module.resources["dashboard"][1]["dashboard_body"], out)
        flat = {}
        Module.flatten(self.module, "", ours, flat)
        self.assertEqual({p: v.replace("local:region", "aws:region") for p, v in out.items()}, flat)


if __name__ == "__main__":
    unittest.main()
