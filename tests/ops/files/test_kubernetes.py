"""config/kubernetes: the schema of every object, and the numbers it shares with the fleet, the units and the image."""
import copy
import re
import subprocess
import tomllib
import unittest

import kubernetes_validate
import yaml

import skipping
from test_consistency import REAL, ROOT, default, seconds, text, unit
from templates import load_stack

# The first that knows the sleep of preStop without being told to.
OLDEST = "1.30"
# From a pod's end until the controller has deregistered it, on a busy control plane.
CONTROLLER_SECONDS = 10
PREFIX = "service.beta.kubernetes.io/aws-load-balancer-"


class Kubernetes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = list(yaml.safe_load_all(text("config/kubernetes/trident.yaml")))
        cls.kinds = {one["kind"]: one for one in cls.all}
        cls.pod = cls.kinds["Deployment"]["spec"]["template"]["spec"]
        cls.container, = cls.pod["containers"]
        cls.annotations = {key.removeprefix(PREFIX): value
                           for key, value in cls.kinds["Service"]["metadata"]["annotations"].items()}
        cls.stack = load_stack()
        resources = cls.stack["Resources"]
        cls.group, cls.listener, cls.balancer = (
            resources[name]["Properties"] for name in ("TargetGroup", "Listener", "Balancer"))
        cls.service = unit("systemd/trident.service")

    def attributes(self, name):
        return dict(pair.split("=") for pair in self.annotations[name].split(","))

    def parameter(self, name):
        return self.stack["Parameters"][name]["Default"]

    def test_every_object_has_the_form_that_its_version_of_kubernetes_asks_for(self):
        self.assertEqual(sorted(self.kinds), ["Deployment", "HorizontalPodAutoscaler", "Namespace", "PodDisruptionBudget", "Service"])
        for version in (OLDEST, kubernetes_validate.latest_version()):
            for one in self.all:
                kubernetes_validate.validate(one, version, strict=True)

    def test_a_misspelt_key_is_found(self):
        wrong = copy.deepcopy(self.kinds["Deployment"])
        container = wrong["spec"]["template"]["spec"]["containers"][0]
        container["readynessProbe"] = container.pop("readinessProbe")
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, OLDEST, strict=True)

    def test_a_pod_serves_until_the_balancer_has_forgotten_it_and_is_not_killed_while_it_drains(self):
        sleep = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        deregistration = int(self.attributes("target-group-attributes")["deregistration_delay.timeout_seconds"])
        self.assertGreaterEqual(sleep, deregistration + CONTROLLER_SECONDS)
        self.assertGreaterEqual(sleep, REAL.lag_deregister + CONTROLLER_SECONDS)
        stop = seconds(self.service["TimeoutStopSec"][0])
        self.assertLess(default("drain.deadline_ms") / 1000, stop)
        self.assertGreaterEqual(self.pod["terminationGracePeriodSeconds"], sleep + stop)
        said = re.search(r"deregistration \((\d+) s\) < deregistration_delay \((\d+) s\) < preStop \((\d+) s\)",
                         text("config/kubernetes/trident.yaml"))
        self.assertEqual([int(one) for one in said.groups()], [REAL.lag_deregister, deregistration, sleep])

    def test_the_balancer_is_set_as_for_the_fleet(self):
        told = {one["Key"]: one["Value"] for one in self.group["TargetGroupAttributes"]}
        self.assertEqual(self.attributes("target-group-attributes"), told)
        told = {one["Key"]: one["Value"] for one in self.listener["ListenerAttributes"]}
        self.assertEqual(self.attributes(f"listener-attributes.TCP-{self.listener['Port']}"), told)
        told = {one["Key"]: one["Value"] for one in self.balancer["LoadBalancerAttributes"]}
        told["load_balancing.cross_zone.enabled"] = self.parameter("CrossZone")
        self.assertEqual(self.attributes("attributes"), told)
        check = {key.removeprefix("healthcheck-"): value for key, value in self.annotations.items() if key.startswith("health")}
        self.assertEqual(check, {
            "protocol": self.group["HealthCheckProtocol"].lower(),
            "port": self.group["HealthCheckPort"],
            "path": self.group["HealthCheckPath"],
            "success-codes": self.group["Matcher"]["HttpCode"],
            "interval": str(self.group["HealthCheckIntervalSeconds"]),
            "timeout": str(self.group["HealthCheckTimeoutSeconds"]),
            "healthy-threshold": str(self.group["HealthyThresholdCount"]),
            "unhealthy-threshold": str(self.group["UnhealthyThresholdCount"]),
        })

    def test_probes_ask_as_the_balancer_and_the_unit_do(self):
        ready, start, live = (self.container[f"{name}Probe"] for name in ("readiness", "startup", "liveness"))
        self.assertEqual((ready["periodSeconds"], ready["timeoutSeconds"], ready["failureThreshold"]), (
            self.group["HealthCheckIntervalSeconds"], self.group["HealthCheckTimeoutSeconds"],
            self.group["UnhealthyThresholdCount"]))
        self.assertEqual(start["periodSeconds"] * start["failureThreshold"], seconds(self.service["TimeoutStartSec"][0]))
        self.assertGreaterEqual(live["periodSeconds"] * live["failureThreshold"], seconds(self.service["WatchdogSec"][0]))
        routes = text("src/app/route.rs")
        for probe in (ready, start, live):
            self.assertIn(f'path: "{probe["httpGet"]["path"]}"', routes)
        # A draining pod is not sick: a restart would lose its requests in flight.
        self.assertEqual((ready["httpGet"]["path"], live["httpGet"]["path"]), ("/readyz", "/healthz"))

    def test_ports_names_and_numbers_are_those_of_the_program_and_the_fleet(self):
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertEqual(default("listen"), [f"0.0.0.0:{ports['http']}"])
        self.assertEqual(default("admin").split(":")[1], str(ports["admin"]))
        port, = self.kinds["Service"]["spec"]["ports"]
        self.assertEqual((port["port"], port["targetPort"]), (self.listener["Port"], "http"))
        labels = self.kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
        for selector in (self.kinds["Deployment"]["spec"]["selector"]["matchLabels"], self.kinds["Service"]["spec"]["selector"],
                         self.kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
            self.assertEqual(selector, labels)
        scaler = self.kinds["HorizontalPodAutoscaler"]["spec"]
        metric, = scaler["metrics"]
        self.assertEqual(
            (scaler["minReplicas"], scaler["maxReplicas"], metric["resource"]["target"]["averageUtilization"]),
            tuple(self.parameter(name) for name in ("FleetMin", "FleetMax", "CpuTargetPercent")))
        self.assertNotIn("replicas", self.kinds["Deployment"]["spec"])
        self.assertEqual({one["metadata"].get("namespace") for one in self.all if one["kind"] != "Namespace"},
                         {self.kinds["Namespace"]["metadata"]["name"]})

    def test_it_runs_the_image_as_strictly_as_the_image_is_tested(self):
        version = tomllib.loads(text("Cargo.toml"))["package"]["version"]
        self.assertEqual(self.container["image"], f"trident:{version}")
        user = int(re.search(r"(?m)^oci_user=(\d+)$", text("scripts/lib/oci.sh"))[1])
        self.assertEqual((self.pod["securityContext"]["runAsUser"], self.pod["securityContext"]["runAsNonRoot"]), (user, True))
        strict = self.container["securityContext"]
        self.assertEqual((strict["allowPrivilegeEscalation"], strict["readOnlyRootFilesystem"], strict["capabilities"]),
                         (False, True, {"drop": ["ALL"]}))

    def test_memory_holds_what_the_configuration_allows(self):
        amount = self.container["resources"]["limits"]["memory"]
        limit = int(amount.removesuffix("Gi")) << 30
        # docs/sizing.md: a connection's stack pages and state.
        held = default("http.buffered_bytes_max") * 1.25 + default("http.connections_max") * 10_000
        self.assertLess(held, limit)

    def test_the_program_takes_the_environment(self):
        environment = {one["name"]: one.get("value", "2") for one in self.container["env"]}
        environment["TRIDENT_AUTH_KEY"] = "5" * 64
        known = set(re.findall(r"TRIDENT_[A-Z_]+", text("config/trident.toml")))
        self.assertLessEqual(set(environment), known)
        self.assertFalse(self.pod["enableServiceLinks"])
        binary = ROOT / "target/checked/trident"
        if not binary.exists():
            skipping.skip("binary", "no binary: cargo build --profile checked makes one")
        # As many files as a node gives; this machine may give less.
        environment["TRIDENT_HTTP_CONNECTIONS_MAX"] = "1000"
        run = subprocess.run([binary, "check-config"], env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("warnings=0", run.stderr)


if __name__ == "__main__":
    unittest.main()
