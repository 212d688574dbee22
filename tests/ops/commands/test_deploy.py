"""What the operator's scripts say without an account, and what deploy makes of settings: an `aws` of ours, no network."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from templates import AMI

SCRIPTS = AMI.parent / "scripts"
# Credentials as $CREDENTIALS says, a region in no profile; any other call is a mistake of the script.
AWS = """#!/usr/bin/env bash
case "$1 $2" in
"configure get") exit 1 ;;
"sts get-caller-identity") printf '%s\\n' "$CREDENTIALS" >&2 && exit 255 ;;
*) printf 'unexpected: aws %s\\n' "$*" >&2 && exit 99 ;;
esac
"""
MISSING = "Unable to locate credentials. You can configure credentials by running aws configure."
EXPIRED = "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: The security token is expired"
SSO = "Error when retrieving token from sso: Token has expired and refresh failed"
DENIED = "An error occurred (InvalidClientTokenId) when calling the GetCallerIdentity operation: it is invalid"
NEW = ("--image", "ami-0123456789abcdef0", "--set", "AuthKeyParameter=/trident/key")


class Operator(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        shim = pathlib.Path(directory.name) / "aws"
        shim.write_text(AWS)
        shim.chmod(0o755)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = clean | {"PATH": f"{shim.parent}:{os.environ['PATH']}", "HOME": directory.name, "CREDENTIALS": MISSING}

    def say(self, script, *arguments, code=0, **more):
        run = subprocess.run([str(SCRIPTS / script), *arguments], env=self.environment | more, capture_output=True, text=True)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout + run.stderr


class Conventions(Operator):
    def test_all_scripts_keep_what_the_manual_says_of_all(self):
        sentence, _ = (AMI / "README.md").read_text().split(" have `--help` and `--dry-run`", 1)
        scripts = re.findall(r"`(\S+)`", sentence.rpartition("\n\n")[2])
        self.assertGreaterEqual(set(scripts), {"cost", *(command for command, *_ in Account.COMMANDS)})
        for script in scripts:
            with self.subTest(script):
                told = self.say(script, "--help")
                self.assertIn("--dry-run", told)
                self.assertIn("64 usage", told.replace("\n", " "))
                self.say(script, "--colour", code=64)


class Bake(Operator):
    """The processor of an image is its binary's."""

    def setUp(self):
        super().setUp()
        # Cargo, which knows the version, is found by way of it.
        self.environment["HOME"] = os.environ["HOME"]

    def program(self, machine):
        """The head of an ELF file, to which processors give numbers (e_machine)."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        file = pathlib.Path(directory.name) / "trident"
        file.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + machine.to_bytes(2, "little"))
        return str(file)

    def test_the_image_follows_the_binary_s_header(self):
        for machine, architecture in ((62, "amd64"), (183, "arm64")):
            said = self.say("bake", "--dry-run", "--binary", self.program(machine))
            self.assertIn(f"-var architecture={architecture} ", said)
            self.assertIn(f"-var architecture={architecture} ",
                          self.say("bake", "--dry-run", "--arch", architecture, "--binary", self.program(machine)))

    def test_a_binary_for_another_processor_is_refused(self):
        said = self.say("bake", "--dry-run", "--arch", "amd64", "--binary", self.program(183), code=64)
        self.assertIn("is for arm64, and the image for amd64", said)
        self.assertIn("not a program for amd64 or arm64", self.say("bake", "--dry-run", "--binary", self.program(40), code=64))
        self.assertIn("amd64 or arm64", self.say("bake", "--dry-run", "--arch", "riscv64", code=64))

    def test_for_graviton_the_cross_compiler_builds_unless_this_is_one(self):
        said = self.say("bake", "--dry-run", "--arch", "arm64")
        build = "cargo build" if os.uname().machine == "aarch64" else "scripts/cross build"
        self.assertRegex(said, rf"\b{build} --release --locked")
        self.assertIn("-var architecture=arm64 ", said)


class Account(Operator):
    COMMANDS = (("bake", "--dirty"), ("deploy", *NEW), ("roll", "--settings"), ("destroy", "--yes"),
                ("publish-store", "STORE", "s3://bucket/prefix"))

    def test_no_region_no_credentials_and_expired_ones_are_three_messages(self):
        for script, *arguments in self.COMMANDS:
            with self.subTest(script):
                none = self.say(script, *arguments, code=64)
                self.assertIn("no region", none)
                region = {"AWS_REGION": "eu-west-1"}
                self.assertIn("no AWS credentials", self.say(script, *arguments, code=69, **region))
                for old in (EXPIRED, SSO):
                    self.assertIn("have expired", self.say(script, *arguments, code=69, CREDENTIALS=old, **region))
                self.assertIn("InvalidClientTokenId", self.say(script, *arguments, code=69, CREDENTIALS=DENIED, **region))

    def test_the_region_of_the_command_line_counts_most(self):
        said = self.say("destroy", "--region", "eu-north-1", "--yes", code=69, AWS_REGION="eu-west-1", CREDENTIALS=DENIED)
        self.assertIn("eu-north-1", said)

    def test_dry_runs_need_no_account(self):
        for command, wanted in (
            (("deploy", *NEW), "create-stack"), (("deploy", "--set", "FleetMax=4"), "update-stack"),
            (("roll", "--settings"), "start-instance-refresh"), (("roll", "--image", "latest"), "create-launch-template-version"),
            (("destroy",), "delete-stack"),
        ):
            for region in ({}, {"AWS_REGION": "eu-west-1"}):
                with self.subTest(command=command, region=region):
                    said = self.say(*command, "--dry-run", **region)
                    self.assertIn(wanted, said)
                    self.assertNotIn("unexpected", said)


class Names(Operator):
    def dry(self, *arguments, code=0):
        return self.say("deploy", *NEW, *arguments, "--dry-run", code=code)

    def test_mistyped_parameters_are_told_with_the_nearest_name(self):
        for wrong, near in (("FleetMxa=4", "FleetMax"), ("instancetype=c8g.large", "InstanceType"), ("Teamname=x", "TeamName")):
            self.assertIn(f"did you mean {near}?", self.dry("--set", wrong, code=64))
        self.assertNotIn("did you mean", self.dry("--set", "Zebra=1", code=64))

    def test_values_that_cannot_be_are_told(self):
        for wrong in ("FleetMax=many", "FleetMax=0", "CpuTargetPercent=95", "Scheme=external", "FleetMax"):
            self.dry("--set", wrong, code=64)

    def test_every_parameter_of_the_template_is_known(self):
        said = self.dry("--set", "StoreUrl=s3://bucket/a,b.tar", "--set", "CrossZone=false", "--set", "SubnetIds=subnet-1,subnet-2")
        for pair in ('"StoreUrl"', "a,b.tar", '"CrossZone"', "subnet-1,subnet-2"):
            self.assertIn(pair, said.replace("\\", ""))


class Settings(Operator):
    """Asks a real binary: build one first."""

    def parameters(self, *arguments, known=None, code=0):
        run = subprocess.run(
            [str(SCRIPTS / "lib/parameters.py"), "--offline", "--known", json.dumps(known or {}), *arguments],
            env=self.environment, capture_output=True, text=True,
        )
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        if code:
            return run.stderr
        return {one["ParameterKey"]: one.get("ParameterValue", "previous") for one in json.loads(run.stdout)}

    def test_settings_become_variables(self):
        told = self.parameters("server.http.idle_timeout_ms=60000", "server.cache_bytes=0")
        self.assertEqual(told["ServerSettings"], "TRIDENT_CACHE_BYTES=0\nTRIDENT_HTTP_IDLE_TIMEOUT_MS=60000")

    def test_what_is_not_given_is_kept_and_unset_goes(self):
        known = {"ServerSettings": "TRIDENT_CACHE_BYTES=0\nTRIDENT_BACKLOG=9", "FleetMax": "7", "Gone": "x",
                 "Secrets": "TRIDENT_ADMIN_TOKEN=/trident/t:3"}
        told = self.parameters("server.backlog=10", "--unset", "server.cache_bytes", known=known)
        self.assertEqual(told["ServerSettings"], "TRIDENT_BACKLOG=10")
        self.assertEqual((told["FleetMax"], told["Secrets"]), ("previous", "TRIDENT_ADMIN_TOKEN=/trident/t"))
        self.assertNotIn("Gone", told, "a parameter the template no longer has")
        self.assertEqual(self.parameters("--unset", "server.admin_token", known=known)["Secrets"], "")

    def test_the_binary_judges_names_and_values(self):
        self.assertIn("did you mean http.idle_timeout_ms?", self.parameters("server.http.idle_timeot_ms=1", code=64))
        self.assertIn("expected an integer", self.parameters("server.http.idle_timeout_ms=soon", code=64))
        self.assertIn("expected an integer", self.say("deploy", *NEW, "--set", "server.workers=x", "--dry-run", code=64))

    def test_secrets_are_names_and_never_values(self):
        said = self.parameters("server.admin_token=0123456789abcdef", code=64)
        self.assertIn("ssm:/NAME", said)
        self.assertNotIn("0123456789abcdef", said)
        said = self.parameters("server.twitter.store=mysql://u:geheim@db:3306/x", code=64)
        self.assertNotIn("geheim", said)
        told = self.parameters("server.twitter.store=ssm:/trident/db", "server.admin_token=ssm:/trident/token")
        self.assertEqual(told["Secrets"], "TRIDENT_ADMIN_TOKEN=/trident/token TRIDENT_TWITTER_STORE=/trident/db")
        self.assertIn("SecretFolder", self.parameters("server.admin_token=ssm:/other/token", code=64))

    def test_what_has_a_parameter_of_its_own_is_sent_there(self):
        for key, where in (("team.name", "TeamName"), ("auth.key", "AuthKeyParameter"), ("listen", "systemd")):
            self.assertIn(where, self.parameters(f"server.{key}=x", code=64))

    def test_settings_stay_within_what_unit_and_balancer_count_on(self):
        self.assertIn("TimeoutStopSec", self.parameters("server.drain.deadline_ms=3000000", code=64))
        self.assertIn("balancer", self.parameters("server.http.idle_timeout_ms=350000", code=64))


if __name__ == "__main__":
    unittest.main()
