"""ami/stack.yaml made, rolled and deleted by the operator's own scripts, in an AWS on this machine (moto).

moto has no instance refresh: a small `aws` in front of the real one plays it, and ends it as a test wants. It makes no
alarms either.
"""
import base64
import json
import os
import shutil
import unittest

import permissions
from local_aws import LocalAws
from templates import load_stack

# Answers instance refreshes from a file, sends everything else to the real AWS CLI.
AWS = r"""#!/usr/bin/env bash
state=$(dirname "$0")
printf '%s %s\n' "$1" "$2" >>"$state/calls"
case "$1 $2" in
"autoscaling start-instance-refresh")
    printf '%s\n' "$@" >"$state/started"
    echo '{"InstanceRefreshId": "refresh"}' ;;
"autoscaling rollback-instance-refresh") touch "$state/rolled-back" ;;
"autoscaling describe-instance-refreshes")
    [[ -e $state/started ]] || { echo None && exit 0; }
    case "$*" in
    *.Status) head -n 1 "$state/outcome"; [[ $(wc -l <"$state/outcome") == 1 ]] || sed -i 1d "$state/outcome" ;;
    *PercentageComplete) echo 50 ;;
    *) echo "alarm trident-Latency is in state ALARM" ;;
    esac ;;
"ec2 delete-launch-template-versions") printf '%s\n' "$@" >"$state/forgotten" ;;
"autoscaling describe-auto-scaling-groups")
    # The local one gives every instance the version of the group.
    [[ $* != *'Instances[?LaunchTemplate'* ]] || { cat "$state/stale" 2>/dev/null || echo 0; exit; }
    exec "$REAL_AWS" "$@" ;;
*) exec "$REAL_AWS" "$@" ;;
esac
"""


class Stack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.local = LocalAws()
        cls.addClassCleanup(cls.local.close)
        cls.state = cls.local.state
        shim = cls.state / "aws"
        shim.write_text(AWS)
        shim.chmod(0o755)
        cls.local.environment |= {
            "REAL_AWS": shutil.which("aws"),
            "ROLL_POLL_SECONDS": "0",
            "PATH": f"{cls.state}:{os.environ['PATH']}",
        }
        cls.aws, cls.run_script = cls.local.ask, cls.local.run_script
        cls.images = [image["ImageId"] for image in cls.aws("ec2", "describe_images")["Images"][:2]]
        for name in ("key", "admin-token"):
            cls.aws("ssm", "put_parameter", Name=f"/trident/{name}", Type="SecureString", Value="0123456789abcdef")
        cls.run_script(
            "deploy", "--image", cls.images[0], "--set", "FleetMin=3", "--set", "FleetMax=6",
            "--set", "server.http.idle_timeout_ms=60000", "--set", "server.admin_token=ssm:/trident/admin-token",
            "--set", "AuthKeyParameter=/trident/key", "--set", "StoreUrl=s3://bucket/twitter",
            "--set", "AlarmEmail=operator@example.org", "--set", "WarmMin=4", "--set", "LogRetentionDays=7",
            "--timeout", "60",
        )

    def setUp(self):
        for leftover in ("started", "rolled-back", "forgotten", "stale"):
            (self.state / leftover).unlink(missing_ok=True)

    def group(self):
        return self.aws("autoscaling", "describe_auto_scaling_groups")["AutoScalingGroups"][0]

    def stack(self):
        return self.aws("cloudformation", "describe_stacks", StackName="trident")["Stacks"][0]

    def parameters(self):
        return {one["ParameterKey"]: one["ParameterValue"] for one in self.stack()["Parameters"]}

    def image(self):
        return self.parameters()["ImageId"]

    def made_from(self):
        """What the group makes instances from."""
        template = self.group()["LaunchTemplate"]
        version, = self.aws("ec2", "describe_launch_template_versions", LaunchTemplateId=template["LaunchTemplateId"],
                            Versions=[template["Version"]])["LaunchTemplateVersions"]
        return version["LaunchTemplateData"]

    def told(self):
        """Lines of the user data."""
        return base64.b64decode(self.made_from()["UserData"]).decode().splitlines()

    def target_group(self):
        return self.aws("elbv2", "describe_target_groups")["TargetGroups"][0]

    def test_every_resource_is_made(self):
        self.assertEqual(self.stack()["StackStatus"].split("_")[1], "COMPLETE")
        made = self.aws("cloudformation", "describe_stack_resources", StackName="trident")["StackResources"]
        statuses = [one["ResourceStatus"] for one in made]
        self.assertTrue(all(status.endswith("_COMPLETE") for status in statuses), statuses)
        self.assertGreaterEqual(len(statuses), 30)

    def test_logs_are_kept_as_long_as_told(self):
        told = self.aws("logs", "describe_log_groups")["logGroups"]
        self.assertEqual([(one["logGroupName"], one["retentionInDays"]) for one in told], [("/trident/trident", 7)])

    def test_instances_are_healthy_targets(self):
        self.assertEqual(self.local.target_states(), ["healthy"] * 3)
        self.assertEqual(len(self.group()["VPCZoneIdentifier"].split(",")), 2, "two subnets")
        subnets = self.aws("ec2", "describe_subnets", SubnetIds=self.group()["VPCZoneIdentifier"].split(","))
        self.assertEqual(len({one["AvailabilityZone"] for one in subnets["Subnets"]}), 2, "in two zones")

    def test_the_balancer_is_a_network_one_with_our_attributes(self):
        balancer = self.aws("elbv2", "describe_load_balancers")["LoadBalancers"][0]
        self.assertEqual((balancer["Type"], balancer["Scheme"]), ("network", "internet-facing"))
        group = self.target_group()
        self.assertEqual(
            (group["Port"], group["HealthCheckPath"], group["HealthCheckIntervalSeconds"]), (8080, "/readyz", 5)
        )
        told = self.aws("elbv2", "describe_target_group_attributes", TargetGroupArn=group["TargetGroupArn"])
        attributes = {one["Key"]: one["Value"] for one in told["Attributes"]}
        self.assertEqual(attributes["target_health_state.unhealthy.connection_termination.enabled"], "false")
        self.assertEqual(attributes["deregistration_delay.timeout_seconds"], "160")

    def test_instances_need_imdsv2_and_get_their_settings(self):
        version = self.made_from()
        self.assertEqual(version["MetadataOptions"]["HttpTokens"], "required")
        self.assertTrue(version["BlockDeviceMappings"][0]["Ebs"]["Encrypted"])
        lines = self.told()
        self.assertRegex("\n".join(lines), r"(?m)^AUTH_KEY_PARAMETER=/trident/key:\d+$")
        self.assertRegex("\n".join(lines), r"(?m)^SECRETS=TRIDENT_ADMIN_TOKEN=/trident/admin-token:\d+$")
        self.assertIn("TRIDENT_HTTP_IDLE_TIMEOUT_MS=60000", lines)
        self.assertIn("FLEET=trident", lines)

    def test_a_policy_allows_no_more_than_its_one_action(self):
        roles = self.aws("iam", "list_roles")["Roles"]
        role = next(one["RoleName"] for one in roles if "InstanceRole" in one["RoleName"])
        names = self.aws("iam", "list_role_policies", RoleName=role)["PolicyNames"]
        self.assertEqual(sorted(names), ["auth-key", "lifecycle", "logs", "metrics", "secrets", "shell", "store"])
        attached = self.aws("iam", "list_attached_role_policies", RoleName=role)["AttachedPolicies"]
        self.assertEqual(attached, [], "a managed policy would allow more")
        policy = self.aws("iam", "get_role_policy", RoleName=role, PolicyName="store")["PolicyDocument"]
        self.assertEqual([one["Resource"] for one in policy["Statement"]], [
            ["arn:aws:s3:::bucket/twitter/pointer.json", "arn:aws:s3:::bucket/twitter/stores/*"],
            "arn:aws:s3:::bucket/twitter/instances/*"])

    def test_deploy_again_changes_nothing_and_keeps_parameters(self):
        self.run_script("deploy")
        self.assertEqual(self.group()["MinSize"], 3)

    def test_a_dry_run_changes_nothing(self):
        before = self.group()["LaunchTemplate"]["Version"]
        said = self.run_script("deploy", "--image", self.images[1], "--set", "FleetMin=5", "--dry-run")
        self.assertIn("would run", said)
        said = self.run_script("roll", "--image", self.images[1], "--dry-run")
        self.assertIn("would run", said)
        self.run_script("destroy", "--dry-run")
        group = self.group()
        self.assertEqual((group["MinSize"], group["LaunchTemplate"]["Version"]), (3, before))
        self.assertFalse((self.state / "started").exists())

    def test_a_roll_that_succeeds_is_remembered(self):
        (self.state / "outcome").write_text("Pending\nInProgress\nSuccessful\n")
        image = self.image()
        other = next(candidate for candidate in self.images if candidate != image)
        self.run_script("roll", "--image", other, "--checkpoints", "10,50")
        started = (self.state / "started").read_text()
        preferences = json.loads(started.split("--preferences\n")[1].split("\n--desired")[0])
        self.assertTrue(preferences["AutoRollback"])
        self.assertEqual(preferences["MinHealthyPercentage"], 100)
        self.assertEqual((preferences["CheckpointPercentages"], preferences["CheckpointDelay"]), ([10, 50, 100], 600))
        named = preferences["AlarmSpecification"]["Alarms"]
        alarms = [one["Properties"] for one in load_stack()["Resources"].values() if one["Type"].endswith("::Alarm")]
        existing = {one["AlarmName"]["Fn::Sub"].replace("${AWS::StackName}", "trident") for one in alarms}
        self.assertEqual(len(named), 2)
        self.assertLessEqual(set(named), existing)
        now = self.image()
        self.assertEqual(now, other)

    def test_a_roll_that_alarms_fails_and_is_not_remembered(self):
        (self.state / "outcome").write_text("InProgress\nRollbackSuccessful\n")
        before = self.image()
        other = next(candidate for candidate in self.images if candidate != before)
        said = self.run_script("roll", "--image", other, code=1)
        self.assertIn("RollbackSuccessful", said)
        after = self.image()
        self.assertEqual(before, after)
        template = self.group()["LaunchTemplate"]["LaunchTemplateId"]
        versions = self.aws("ec2", "describe_launch_template_versions", LaunchTemplateId=template)
        newest = max(version["VersionNumber"] for version in versions["LaunchTemplateVersions"])
        forgotten = (self.state / "forgotten").read_text().splitlines()
        self.assertEqual(forgotten[-1], str(newest), "--back must not choose what failed")

    def test_changed_settings_reach_running_instances_by_a_roll(self):
        self.assertIn("every instance is of", self.run_script("roll", "--settings"))
        (self.state / "stale").write_text("3\n")
        said = self.run_script("deploy", "--set", "TeamName=Others")
        self.assertIn("roll --settings", said)
        (self.state / "outcome").write_text("Pending\nSuccessful\n")
        self.run_script("roll", "--settings")
        started = (self.state / "started").read_text()
        self.assertIn('"AutoRollback":false', started)
        self.assertIn(f'"Version":"{self.group()["LaunchTemplate"]["Version"]}"', started)

    def test_a_new_version_of_a_secret_is_a_change(self):
        self.aws("ssm", "put_parameter", Name="/trident/admin-token", Type="SecureString", Value="fedcba9876543210", Overwrite=True)
        (self.state / "stale").write_text("3\n")
        (self.state / "outcome").write_text("Successful\n")
        said = self.run_script("roll", "--settings")
        self.assertIn("/trident/admin-token:1 is now /trident/admin-token:2", said)
        self.assertEqual(self.parameters()["Secrets"], "TRIDENT_ADMIN_TOKEN=/trident/admin-token:2")
        self.assertEqual(self.parameters()["ServerSettings"], "TRIDENT_HTTP_IDLE_TIMEOUT_MS=60000", "the rest is kept")
        self.assertTrue((self.state / "started").exists())

    def test_nothing_is_deployed_into_a_roll(self):
        (self.state / "started").touch()
        (self.state / "outcome").write_text("InProgress\n")
        self.assertIn("roll is under way", self.run_script("deploy", "--set", "FleetMax=7", code=1))

    def test_the_latest_image_is_one_for_the_processor(self):
        """This account has an image for another one only."""
        instance = self.aws("ec2", "run_instances", ImageId=self.images[0], MinCount=1, MaxCount=1)["Instances"][0]
        made = self.aws("ec2", "create_image", InstanceId=instance["InstanceId"], Name="trident-1-amd64")["ImageId"]
        said = self.run_script("deploy", "--image", "latest", "--set", "InstanceType=c6g.large", code=1)
        self.assertIn("c6g.large (arm64)", said)
        said = self.run_script("deploy", "--image", "latest", "--set", "InstanceType=c5.large", "--dry-run")
        self.assertIn(made, said)

    def test_back_stops_a_roll_under_way(self):
        (self.state / "started").touch()
        (self.state / "outcome").write_text("InProgress\n")
        self.run_script("roll", "--back")
        self.assertTrue((self.state / "rolled-back").exists())

    def test_wrong_use_is_told_and_changes_nothing(self):
        self.run_script("deploy", "--colour", code=64)
        self.run_script("roll", code=64)
        self.run_script("roll", "--settings", "--checkpoints", "50,10", code=64)
        said = self.run_script("deploy", "--set", "AuthKeyParameter=/trident/nowhere", code=1)
        self.assertIn("there is no parameter /trident/nowhere", said)
        self.run_script("deploy", "--stack", "other", code=64)
        said = self.run_script("deploy", "--stack", "other", "--image", self.images[0], code=64)
        self.assertIn("AuthKeyParameter", said)

    def test_z_destroy_leaves_nothing(self):
        self.run_script("destroy", "--yes")
        made = {tuple(line.split()) for line in (self.state / "calls").read_text().splitlines()}
        self.assertGreater(len(made), 10)
        self.assertLessEqual({permissions.action(*one) for one in made - permissions.NO_CALL}, permissions.calls(),
                             "a call that operator-policy.json is not derived from")
        self.assertEqual(self.aws("autoscaling", "describe_auto_scaling_groups")["AutoScalingGroups"], [])
        self.assertIn("no stack", self.run_script("destroy", "--yes"))


if __name__ == "__main__":
    unittest.main()
