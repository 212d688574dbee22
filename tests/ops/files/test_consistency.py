"""Numbers and names that must agree over files that do not know each other: units, stack, image, configuration."""
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import unittest
from unittest import mock

import skipping
from templates import AMI, load_stack

ROOT = AMI.parent
sys.path.append(str(ROOT / "tests/ops/fleet"))
sys.path.append(str(ROOT / "scripts"))
from lib import costlib  # noqa: E402
from delays import REAL  # noqa: E402

# From the notice of an interruption until a spot instance is taken away.
SPOT_NOTICE_SECONDS = 120


def text(path):
    return (ROOT / path).read_text()


def unit(path):
    """{Key: [values]} of a unit file."""
    out = {}
    for line in text(path).splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            out.setdefault(key, []).append(value)
    return out


def seconds(value):
    number, suffix = re.fullmatch(r"(\d+)(ms|s|min|day)?", value).groups()
    return int(number) * {"ms": 0.001, "min": 60, "day": 86400}.get(suffix, 1)


def default(key):
    """The default of a setting, from config/trident.toml, where every key stands commented out."""
    lines = re.sub(r"(?m)^#([a-z_]+ = )", r"\1", text("config/trident.toml"))
    value = tomllib.loads(lines)
    for part in key.split("."):
        value = value[part]
    return value


def alarm_metrics(properties):
    """What an alarm looks at: one metric, or those of its expression."""
    told = properties.get("Metrics")
    return [properties] if told is None else [one["MetricStat"]["Metric"] for one in told if "MetricStat" in one]


class Consistency(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = load_stack()["Resources"]
        cls.service = unit("systemd/trident.service")
        cls.socket = unit("systemd/trident.socket")
        cls.group = cls.stack["TargetGroup"]["Properties"]
        cls.attributes = {one["Key"]: one["Value"] for one in cls.group["TargetGroupAttributes"]}

    def test_one_public_port(self):
        port = self.group["Port"]
        rule, metrics = self.stack["InstanceGroup"]["Properties"]["SecurityGroupIngress"]
        self.assertEqual((rule["FromPort"], rule["ToPort"]), (port, port))
        shared = unit("ami/rootfs/etc/systemd/system/trident-metrics.socket")["ListenStream"]
        self.assertEqual([str(metrics["Fn::If"][1]["ToPort"])], shared)
        proxy, = unit("ami/rootfs/etc/systemd/system/trident-metrics.service")["ExecStart"]
        self.assertEqual(proxy.split()[-1], default("admin"))
        self.assertIn(f"port: {shared[0]}", text("config/prometheus/prometheus.yml"))
        self.assertEqual(self.socket["ListenStream"], [str(port)])
        self.assertEqual(default("listen"), [f"0.0.0.0:{port}"])
        self.assertEqual(unit("systemd/trident-admin.socket")["ListenStream"], [default("admin")])
        listener = self.stack["Listener"]["Properties"]["Port"]
        rule, = self.stack["BalancerGroup"]["Properties"]["SecurityGroupIngress"]
        self.assertEqual((rule["FromPort"], rule["ToPort"]), (listener, listener))

    def test_the_balancer_notices_before_accepting_ends_and_systemd_waits_longest(self):
        noticed = self.group["HealthCheckIntervalSeconds"] * self.group["UnhealthyThresholdCount"]
        accept, quiet, finish, deadline = (
            default(f"drain.{name}_ms") / 1000 for name in ("accept", "quiet", "finish", "deadline"))
        stop = seconds(self.service["TimeoutStopSec"][0])
        self.assertLess(noticed + self.group["HealthCheckTimeoutSeconds"] + REAL.lag_unhealthy, accept)
        self.assertLess(accept + quiet + finish, deadline)
        self.assertLess(deadline, stop)
        # A spot instance is taken away then; its notice is seen after a poll, two questions of 2 s and one to the balancer.
        script = text("ami/rootfs/usr/lib/trident/lifecycle")
        call_max, poll = (int(re.search(rf"{name}:-(\d+)", script)[1]) for name in ("CALL_SECONDS_MAX", "POLL_SECONDS"))
        self.assertLess(accept + quiet + finish + poll + 2 * 2 + call_max, SPOT_NOTICE_SECONDS)
        deregistration = int(self.attributes["deregistration_delay.timeout_seconds"])
        draining = int(self.attributes["target_health_state.unhealthy.draining_interval_seconds"])
        self.assertLess(deadline, deregistration)
        self.assertLess(REAL.lag_deregister, deregistration)
        self.assertEqual(REAL.deregistration, deregistration, "the fleet is proven with the stack's numbers")
        self.assertEqual((REAL.interval, REAL.timeout),
                         (self.group["HealthCheckIntervalSeconds"], self.group["HealthCheckTimeoutSeconds"]))
        unused_max = int(re.search(r"UNUSED_SECONDS_MAX:-(\d+)", script)[1])
        self.assertLess(deregistration, unused_max)
        self.assertLess(deadline, draining)
        hooks = self.stack["Fleet"]["Properties"]["LifecycleHookSpecificationList"]
        leaving = next(hook for hook in hooks if hook["LifecycleHookName"] == "leaving")
        # Room for the answers of a role and of the group that are slow.
        self.assertLess(unused_max + stop + 60, leaving["HeartbeatTimeout"])

    def test_a_start_that_fails_says_why_before_systemd_ends_it(self):
        first_run = int(re.search(r"FIRST_RUN: Duration = Duration::from_secs\((\d+)\)", text("src/serve/notify.rs"))[1])
        self.assertLessEqual(2 * first_run, seconds(self.service["TimeoutStartSec"][0]))

    def test_an_instance_that_comes_up_is_not_taken_for_a_sick_one(self):
        fleet = self.stack["Fleet"]["Properties"]
        up = self.group["HealthCheckIntervalSeconds"] * self.group["HealthyThresholdCount"]
        self.assertLess(up, fleet["HealthCheckGracePeriod"])
        joining = next(h for h in fleet["LifecycleHookSpecificationList"] if h["LifecycleHookName"] == "joining")
        userdata = unit("ami/rootfs/etc/systemd/system/trident-userdata.service")
        boot = seconds(userdata["TimeoutStartSec"][0]) + seconds(self.service["TimeoutStartSec"][0])
        self.assertLess(boot, joining["HeartbeatTimeout"])

    def test_the_server_ends_idle_connections_before_the_balancer_forgets_them(self):
        listener = {one["Key"]: one["Value"] for one in self.stack["Listener"]["Properties"]["ListenerAttributes"]}
        self.assertLess(default("http.idle_timeout_ms") / 1000, int(listener["tcp.idle_timeout.seconds"]))
        keepalive = int(re.search(r"tcp_keepalive_time = (\d+)", text("systemd/trident.sysctl"))[1])
        self.assertLess(keepalive, int(listener["tcp.idle_timeout.seconds"]))

    def test_attribute_names_are_those_of_the_service(self):
        """cfn-lint does not look at them, and the service ignores none: a misspelt one fails a deployment."""
        names = {
            "TargetGroup": (self.attributes, {
                "deregistration_delay.timeout_seconds", "deregistration_delay.connection_termination.enabled",
                "preserve_client_ip.enabled", "proxy_protocol_v2.enabled", "stickiness.enabled", "stickiness.type",
                "load_balancing.cross_zone.enabled", "target_health_state.unhealthy.connection_termination.enabled",
                "target_health_state.unhealthy.draining_interval_seconds",
            }),
            "Balancer": ({a["Key"] for a in self.stack["Balancer"]["Properties"]["LoadBalancerAttributes"]}, {
                "deletion_protection.enabled", "load_balancing.cross_zone.enabled", "access_logs.s3.enabled",
                "dns_record.client_routing_policy", "zonal_shift.config.enabled",
            }),
            "Listener": ({a["Key"] for a in self.stack["Listener"]["Properties"]["ListenerAttributes"]},
                         {"tcp.idle_timeout.seconds"}),
        }
        for resource, (used, known) in names.items():
            self.assertLessEqual(set(used), known, resource)
        # An unhealthy target is drained only where its connections are not ended at once.
        self.assertEqual(self.attributes["target_health_state.unhealthy.connection_termination.enabled"], "false")

    def test_the_health_path_is_a_route(self):
        path = self.group["HealthCheckPath"]
        self.assertIn(f'path: "{path}"', text("src/app/route.rs"))

    def test_limits_hold_what_the_configuration_allows(self):
        connections = default("http.connections_max")
        self.assertGreater(int(self.service["LimitNOFILE"][0]), connections + 2048)
        settings = dict(re.findall(r"(?m)^([a-z0-9_.]+) = (\d+)", text("systemd/trident.sysctl")))
        self.assertGreater(int(settings["vm.max_map_count"]), 4 * connections)
        self.assertGreaterEqual(int(settings["net.core.somaxconn"]), int(self.socket["Backlog"][0]))
        self.assertEqual(int(self.socket["Backlog"][0]), default("backlog"))
        send_buffer = self.socket["SendBuffer"][0]
        self.assertEqual(int(send_buffer.removesuffix("K")) * 1024, default("http.send_buffer_bytes"))
        self.assertTrue(send_buffer.endswith("K"))

    def test_every_kernel_setting_has_a_reason_and_every_key_is_a_name(self):
        blocks = text("systemd/trident.sysctl").split("\n\n")
        for block in blocks:
            lines = block.splitlines()
            keys = [line for line in lines if not line.startswith("#")]
            if keys:
                self.assertTrue(lines[0].startswith("# "), block)
            for line in keys:
                self.assertRegex(line, r"^(net|vm|fs|kernel)\.[a-z0-9_.]+ = [0-9 ]+$")

    def test_exit_codes_of_the_unit_are_documented_ones(self):
        self.assertEqual(self.service["RestartPreventExitStatus"], ["64"])
        self.assertRegex(text("src/exit.rs"), r"Usage = 64")

    def test_a_crash_that_a_restart_cures_powers_no_instance_off(self):
        """systemd 254 and later take OnFailure= at each crash, unless the restart passes no failed state."""
        instance = unit("ami/rootfs/etc/systemd/system/trident.service.d/instance.conf")
        self.assertEqual(instance["OnFailure"], ["poweroff.target"])
        self.assertEqual(instance["RestartMode"], ["direct"])

    def test_the_watchdog_waits_longer_than_any_allowed_answer(self):
        self.assertGreaterEqual(seconds(self.service["WatchdogSec"][0]), 10)

    def test_metric_names_of_publisher_alarms_and_dashboard_agree(self):
        alarms = {one["MetricName"] for r in self.stack.values() if r["Type"] == "AWS::CloudWatch::Alarm"
                  for one in alarm_metrics(r["Properties"]) if one["Namespace"] == "Trident"}
        self.assertIn("StoreData", alarms)
        published = set(re.findall(r'"([A-Z]\w+)": \(', text("ami/rootfs/usr/lib/trident/publish")))
        self.assertLessEqual(alarms, published)
        body = self.stack["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        self.assertLessEqual(set(re.findall(r'\["Trident", "(\w+)"', body)), published)
        families = set(re.findall(r'"(trident_\w+)"', text("src/metrics/names.rs")))
        self.assertIn("trident_request_seconds", families)
        read = set(re.findall(r"trident_\w+_total", text("ami/rootfs/usr/lib/trident/publish")))
        self.assertTrue(read)
        self.assertLessEqual(read, families, "the publisher reads metrics that exist")

    def test_the_bill_counts_every_metric_and_alarm(self):
        alarms = [metric for r in self.stack.values() if r["Type"] == "AWS::CloudWatch::Alarm"
                  for metric in alarm_metrics(r["Properties"])]
        # Target tracking makes two for itself.
        self.assertEqual(costlib.ALARMS, len(alarms) + 2)
        published = set(re.findall(r'"([A-Z]\w+)": \(', text("ami/rootfs/usr/lib/trident/publish")))
        self.assertEqual(costlib.OWN_METRICS, len(published))
        timer = unit("ami/rootfs/etc/systemd/system/trident-store.timer")
        self.assertEqual(costlib.LOOKS_PER_HOUR, 3600 / seconds(timer["OnUnitInactiveSec"][0]))

    def test_a_canary_is_held_for_as_long_as_its_alarms_need(self):
        hold = int(re.search(r"chosen='' hold=(\d+)", text("scripts/publish-store"))[1])
        self.assertIn(f"({hold}: ", text("scripts/publish-store"))
        self.assertEqual(unit("ami/rootfs/etc/systemd/system/trident-publish.timer")["OnCalendar"], ["*:*:20"])
        for name in ("ErrorShare", "Latency"):
            alarm = self.stack[name]["Properties"]
            # The first period is not whole, and metrics come once a minute.
            self.assertGreaterEqual(hold, (alarm["EvaluationPeriods"] + 1) * alarm["Period"] + 60)

    def test_a_fleet_may_disagree_for_ten_minutes(self):
        alarm = self.stack["StoreDisagreement"]["Properties"]
        periods = {one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one}
        self.assertEqual((periods, alarm["EvaluationPeriods"]), ({60}, 11))
        fetch = seconds(unit("ami/rootfs/etc/systemd/system/trident-store.service")["TimeoutStartSec"][0])
        unseen = int(re.search(r"UNSEEN_SECONDS_MAX = (\d+)", text("ami/rootfs/usr/lib/trident/publish"))[1])
        self.assertLess(fetch, unseen, "a long fetch is no failure")

    def test_an_instances_calls_end_before_its_units_do(self):
        for script, name, unit_name, beside in (
            # The page and five probes, 5 s each.
            ("publish", 'SEND_SECONDS_MAX", (\\d+)', "trident-publish", 30),
            ("userdata", r"CALL_SECONDS_MAX:-(\d+)", "trident-userdata", 0),
            ("store", 'STALL_SECONDS_MAX", (\\d+)', "trident-store", 0),
        ):
            with self.subTest(script):
                longest = int(re.search(name, text(f"ami/rootfs/usr/lib/trident/{script}"))[1])
                started = seconds(unit(f"ami/rootfs/etc/systemd/system/{unit_name}.service")["TimeoutStartSec"][0])
                self.assertLess(longest + beside, started)

    def test_user_data_carries_what_the_instance_reads(self):
        data = self.stack["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
        names = {line.partition("=")[0] for line in data.split() if line != "${ServerSettings}"}
        script = text("ami/rootfs/usr/lib/trident/userdata")
        for name in names:
            self.assertIn(name if not name.startswith("TRIDENT_") else "TRIDENT_", script)
        known = set(re.findall(r"TRIDENT_[A-Z_]+", text("config/trident.toml")))
        self.assertLessEqual({name for name in names if name.startswith("TRIDENT_")}, known)

    def test_lifecycle_hooks_are_completed_under_their_names(self):
        hooks = self.stack["Fleet"]["Properties"]["LifecycleHookSpecificationList"]
        script = text("ami/rootfs/usr/lib/trident/lifecycle")
        for hook in hooks:
            self.assertIn(hook["LifecycleHookName"], script)

    def test_the_file_systems_paths_agree(self):
        installer = text("scripts/install-units")
        self.assertEqual(self.service["EnvironmentFile"], ["-/etc/trident/trident.env"])
        self.assertIn("/etc/trident/trident.env", text("systemd/trident.tmpfiles"))
        self.assertIn("/etc/trident/trident.env", text("ami/rootfs/usr/lib/trident/userdata"))
        for command in ("ExecStart", "ExecStartPre"):
            self.assertIn("/usr/bin/trident", self.service[command][0])
        self.assertIn("/usr/bin/trident", installer)
        for name in pathlib.Path(ROOT / "systemd").iterdir():
            if name.name != "README.md":
                self.assertRegex(installer, re.escape(name.name.split(".")[0]), f"{name.name} is not installed")


class Binary(unittest.TestCase):
    """The baked binary must run on Amazon Linux 2023 (glibc 2.34) as well as on Debian 13."""

    def test_glibc_need(self):
        # Every profile links the same libraries.
        built = [path for path in (ROOT / f"target/{place}/trident" for place in ("bake", "release", "checked"))
                 if path.exists()]
        if not built:
            skipping.skip("binary", "no binary: scripts/bake, or cargo build, makes one")
        for path in built:
            run = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=True)
            versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)", run.stdout)}
            self.assertLessEqual(max(versions), (2, 34), path)


class Skipping(unittest.TestCase):
    """tests/ops/skipping.py and scripts/lib/skip.sh have one rule."""

    def test_a_skip_fails_under_ci_and_for_root_unless_it_is_named(self):
        for environment, is_root, wanted in (
            ({}, False, unittest.SkipTest), ({}, True, AssertionError), ({"CI": "1"}, False, AssertionError),
            ({"CI": "1", "TRIDENT_SKIP": "page,binary"}, True, unittest.SkipTest),
            ({"CI": "1", "TRIDENT_SKIP": "page"}, True, AssertionError),
        ):
            with self.subTest(environment, is_root=is_root), mock.patch.dict(os.environ, environment, clear=True), \
                    mock.patch("os.geteuid", return_value=0 if is_root else 1000), mock.patch("sys.stderr"):
                self.assertRaises(wanted, skipping.skip, "binary", "it is not there")
                bash = subprocess.run(
                    ["bash", "-c", f"id() {{ echo {0 if is_root else 1000}; }}; source {ROOT}/scripts/lib/skip.sh; ! must_run || is_skipped binary"],
                    env=environment | {"PATH": "/usr/bin:/bin"}, check=False)
                self.assertEqual(bash.returncode == 0, wanted is unittest.SkipTest)


if __name__ == "__main__":
    unittest.main()
