"""scripts/tune-ab: a knob between two hosts of our own, those that a host lacks, and what it does to a unit."""
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import skipping

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
from lib import environment  # noqa: E402  (the path above comes first)
from lib.drop_ins import NO_FILTER  # noqa: E402
from lib.network import Network, output  # noqa: E402

SERVER = "10.97.0.1"
TUNE = ROOT / "ami/rootfs/usr/lib/trident/tune"

# Runs what it is told and keeps a list: a systemd whose server has a filter unless a drop-in takes it away.
REMOTE = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$FAKE/log"
drop_in=$FAKE/drop-in
case "$*" in
"systemctl show"*) echo 77 ;;
"cat /proc/77/status") grep -q 'SystemCallFilter=$' "$drop_in" 2>/dev/null && echo 'Seccomp: 0' || echo 'Seccomp: 2' ;;
tee*) cat >"$drop_in" ;;
"rm -f"*) rm -f "$drop_in" ;;
"cat /proc/stat") echo "cpu $(wc -l <"$FAKE/log") 0 0 5 5 0 0 0" ;;
"auditctl -s") [[ -e $FAKE/audit ]] || { echo 'sudo: auditctl: command not found' >&2; exit 1; }; echo 'enabled 0' ;;
esac
"""
# Answers as `trident load` does; faster with the filter than without, so that a ratio has a side.
LOAD = """#!/usr/bin/env bash
[[ ! -e $FAKE/broken ]] || { echo 'no answer' >&2; exit 69; }
rps=1000
grep -q 'SystemCallFilter=$' "$FAKE/drop-in" 2>/dev/null && rps=1250
printf '{"total": {"requests": %s, "rps": %s, "correct": 1, "failed": {}, "wrong": {}, "latency_us": {"p99": 10}}}\\n' $rps $rps
"""


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.fake = pathlib.Path(directory.name)
        for name, text in (("remote", REMOTE), ("load", LOAD)):
            (self.fake / name).write_text(text)
            (self.fake / name).chmod(0o755)

    def tune_ab(self, *arguments, code=0):
        run = subprocess.run([str(ROOT / "scripts/tune-ab"), *arguments], env=os.environ | {"FAKE": str(self.fake)},
                             capture_output=True, text=True, timeout=300)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout + run.stderr


class Arguments(Case):
    def fake_host(self, *arguments, code=0):
        return self.tune_ab(*arguments, "--host", "h", "--ssh", str(self.fake / "remote"), "--trident", str(self.fake / "load"),
                            "--rounds", "3", code=code)

    def test_usage(self):
        self.assertIn("--host", self.tune_ab("--help"))
        for wrong in (["rings", "--host", "h"], ["ring"], ["ring", "--host", "h", "--rounds", "0"], ["ring", "--host", "h", "--colour"]):
            self.assertIn("see --help", self.tune_ab(*wrong, code=64))

    def test_the_filter_is_taken_away_and_comes_back(self):
        out = self.fake / "out.json"
        said = self.fake_host("seccomp", "--json", str(out))
        self.assertIn("seccomp: requests/s with ÷ without 0.800 (0.800 to 0.800)\n", said)
        self.assertIn("p99 latency with ÷ without 1.000 (1.000 to 1.000)   nothing shown", said)
        self.assertEqual(len(json.loads(out.read_text())["rounds"]), 3)
        log = (self.fake / "log").read_text().splitlines()
        self.assertEqual(log[-3:], ["rm -f /run/systemd/system/trident.service.d/tune-ab.conf", "systemctl daemon-reload",
                                    "systemctl restart trident.service"])
        self.assertFalse((self.fake / "drop-in").exists())

    def test_every_option_that_makes_a_filter_is_taken_away(self):
        """Those of the unit that are not are named here, so that a new one is looked at."""
        unit = (ROOT / "systemd/trident.service").read_text()
        hardening = unit[unit.index("CapabilityBoundingSet="):unit.index("[Install]")]
        names = {line.partition("=")[0] for line in hardening.splitlines() if "=" in line and not line.startswith("#")}
        no_filter = {
            "CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges", "PrivateNetwork", "IPAddressDeny", "ProtectSystem",
            "ProtectHome", "PrivateTmp", "PrivateUsers", "PrivateIPC", "PrivateMounts", "ProtectControlGroups", "ProtectProc",
            "ProcSubset", "DevicePolicy", "RemoveIPC", "KeyringMode", "SystemCallErrorNumber"}
        taken = {line.partition("=")[0] for line in NO_FILTER.splitlines()} - {"[Service]", "Environment"}
        self.assertEqual(names - no_filter, taken)

    def test_a_load_that_fails_ends_it_and_puts_the_unit_back(self):
        (self.fake / "load").write_text("#!/bin/sh\necho 'wrong answers' >&2\nexit 64\n")
        self.assertIn("wrong answers", self.fake_host("seccomp", code=1))
        self.assertFalse((self.fake / "drop-in").exists())

    def test_a_host_without_audit(self):
        self.assertIn("auditctl: command not found", self.fake_host("audit", code=69))
        (self.fake / "audit").touch()
        self.fake_host("audit")
        log = (self.fake / "log").read_text()
        self.assertIn("auditctl -a never,task", log)
        self.assertEqual([line for line in log.splitlines() if line.startswith("auditctl")][-2:], ["auditctl -D", "auditctl -e 0"])

    def test_no_ssh_here(self):
        self.assertIn("not installed", self.tune_ab("seccomp", "--host", "h", "--ssh", "no-such-ssh h", code=69))


class Namespaces(Case):
    """Two hosts and a line between them; what a virtual card has is measured, what it lacks is said."""

    def setUp(self):
        super().setUp()
        if os.geteuid():
            skipping.skip("root", "network namespaces need root")
        self.network = self.enterContext(Network(server=SERVER, client="10.97.0.2"))
        self.trident = environment.binary()

    def arguments(self, knob):
        inside = shlex.join(self.network.on("server", "env", f"RUNTIME_DIRECTORY={self.fake}"))
        return [knob, "--host", SERVER, "--ssh", inside, "--client", shlex.join(self.network.on("client")),
                "--tune", str(TUNE), "--interface", "e0", "--trident", self.trident, "--mix", "qrcode=1", "--connections", "16",
                "--rounds", "2", "--seconds", "1", "--warmup", "1"]

    def between(self, knob, code=0):
        return self.tune_ab(*self.arguments(knob), code=code)

    def popen(self, knob):
        process = subprocess.Popen([str(ROOT / "scripts/tune-ab"), *self.arguments(knob)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def receivers(self):
        return output(*self.network.on("server", "cat", "/sys/class/net/e0/queues/rx-0/rps_cpus")).strip()

    def test_a_knob_is_measured_and_left_as_it_was_found(self):
        if os.cpu_count() < 2:
            skipping.skip("processors", "a single processor leaves nothing to steer")
        self.network.start("server", 8080, self.trident, "serve", "--listen", f"{SERVER}:8080", "--admin", "off", "--workers", "1")
        found = self.receivers()
        said = self.between("rps")
        self.assertRegex(said, r"rps: requests/s with ÷ without \d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)")
        self.assertRegex(said, r"rps: processor time per request with ÷ without \d")
        self.assertEqual(len([line for line in said.splitlines() if line.split()[:1] in (["1"], ["2"])]), 2, said)
        self.assertEqual(self.receivers(), found)

    def test_an_interrupted_measurement_leaves_the_knob_as_it_was_found(self):
        if os.cpu_count() < 2:
            skipping.skip("processors", "a single processor leaves nothing to steer")
        found = self.receivers()
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                # Nobody serves: load waits for the server, and that is when the signal comes.
                process = self.popen("rps")
                for _ in range(1200):
                    if self.receivers() != found or process.poll() is not None:
                        break
                    time.sleep(0.05)
                self.assertNotEqual(self.receivers(), found, "the knob was turned")
                process.send_signal(number)
                said = process.communicate(timeout=60)[1]
                self.assertEqual((process.returncode, self.receivers()), (1, found), said)
                self.assertIn("interrupted", said)

    def test_what_the_card_lacks_is_said(self):
        for knob, why in (("ring", "device lacks it"), ("adaptive", "device lacks it"), ("irq", "device lacks it"),
                          ("xps", "a single queue"), ("busy_poll", "kernel lacks it")):
            with self.subTest(knob):
                self.assertIn(f"skipped: {why}", self.between(knob, code=69))


if __name__ == "__main__":
    unittest.main()
