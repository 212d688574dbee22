"""Three instances behind a balancer, under checked load, while things are done to them; a table of what it cost.

    run.py BINARY [CASE...]

Run by scripts/test-fleet. Times are a tenth of the real ones: health checks every 0.5 s, so an instance drains for
2 s where the default is 15. A planned change must cost no request; of a fault the errors and the time until the
last of them are told, and bounded: it may reach only the connections of the instance it happened to.
"""
import argparse
import atexit
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time

from balancer import PORT, TARGET_PORT, Balancer
from network import BALANCER, Network, sh

INSTANCES = 3
CONNECTIONS = 24
KEY = "6b657920666f722074657374732c206e6f7420666f7220616e79206f74686572"
# Requests a second: a fleet under load, not at its limit, on a machine that also runs the fleet.
RATE = 3000
# Seconds without an answer that make a request lost. Far above any answer, so that a busy machine loses none.
TIMEOUT_S = 3
SETTINGS = [
    "drain.accept_ms=2000", "drain.deadline_ms=5000", "log.level=warn",
    # Clients come and go: new connections are what a balancer directs.
    "http.requests_per_connection_max=100",
]
# The longest a fault may keep failing requests: two failed checks with their timeouts, one request's timeout, and
# room for a busy machine.
RECOVERY_MAX_S = 8.0


class Fleet:
    """Processes in the network's hosts, registered with the balancer."""

    def __init__(self, binary, terminate_unhealthy=False):
        self.binary = binary
        self.network = Network(INSTANCES)
        atexit.register(self.network.close)
        self.directory = tempfile.TemporaryDirectory()
        self.processes = {}
        self.balancer = Balancer(self.network, terminate_unhealthy)

    def start(self, instance, *settings):
        environment = {
            "PATH": os.environ["PATH"], "TRIDENT_AUTH_KEY": KEY, "CACHE_DIRECTORY": self.directory.name,
        }
        arguments = [str(self.binary), "serve", "--listen", f"0.0.0.0:{TARGET_PORT}", "--admin", "off", "--workers", "2"]
        for setting in [*SETTINGS, *settings]:
            arguments += ["--set", setting]
        with open(self.log(instance), "ab") as log:
            self.processes[instance] = self.network.start(
                f"i{instance}", arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log(self, instance):
        directory = pathlib.Path(self.directory.name) / f"i{instance}"
        directory.mkdir(exist_ok=True)
        return directory / "log"

    def join(self, instance, *settings):
        """Starts an instance and waits until the balancer uses it."""
        self.start(instance, *settings)
        self.balancer.register(instance)
        self.balancer.wait(instance, "healthy")

    def stop(self, instance):
        """A stop as systemd does it; the process must end by itself and well."""
        self.processes[instance].send_signal(signal.SIGTERM)
        if self.processes[instance].wait(30) != 0:
            raise SystemExit(f"test-fleet: instance {instance} ended with {self.processes[instance].returncode}")

    def pid(self, instance):
        return self.processes[instance].pid  # `ip netns exec` becomes the command

    def close(self):
        self.balancer.close()
        self.network.close()
        self.directory.cleanup()


class Load:
    """`trident load` in the client's host until `end`: every answer checked against an independent oracle."""

    def __init__(self, fleet):
        self.report = pathlib.Path(fleet.directory.name) / "load.json"
        self.report.unlink(missing_ok=True)
        self.started = time.monotonic()
        self.process = fleet.network.start("c", [
            str(fleet.binary), "load", "--target", f"http://{BALANCER}:{PORT}", "--connections", str(CONNECTIONS),
            "--rate", str(RATE), "--timeout", f"{TIMEOUT_S}s", "--warmup", "0", "--duration", "10m", "--workers", "1",
            "--quiet", "--json", str(self.report),
        ], env={"PATH": os.environ["PATH"], "TRIDENT_AUTH_KEY": KEY}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(1)

    def end(self):
        """The report, and the times of the seconds that had errors."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        if not self.report.exists():
            raise SystemExit(f"test-fleet: trident load: {said.decode()}")
        report = json.loads(self.report.read_text())
        bad = [self.started + second["second"] + 1 for second in report["timeline"] if second["errors"] or second["wrong"]]
        return report["total"], bad


# --- what is done to the fleet. Each returns the time of the fault, or None where it is planned ------------------


def rest(fleet):
    """nothing"""
    time.sleep(2)


def roll(fleet):
    """roll all three: SIGTERM, a new process, healthy, next"""
    for instance in fleet.processes:
        fleet.stop(instance)
        fleet.start(instance)
        fleet.balancer.set(instance, "initial")
        fleet.balancer.wait(instance, "healthy")


def roll_deregistered(fleet):
    """roll all three: deregister first, then SIGTERM, as the scaling group does"""
    for instance in fleet.processes:
        fleet.balancer.deregister(instance)
        fleet.stop(instance)
        fleet.join(instance)


def scale(fleet):
    """scale 3 → 1 → 3"""
    for instance in (2, 3):
        fleet.balancer.deregister(instance)
        fleet.stop(instance)
    time.sleep(1)
    for instance in (2, 3):
        fleet.join(instance)


def reload(fleet):
    """reload all three (SIGHUP), ten times"""
    for _ in range(10):
        for instance in fleet.processes:
            os.kill(fleet.pid(instance), signal.SIGHUP)
        time.sleep(0.1)


def fill_disk(fleet):
    """fill the disk of instance 2, and make it log"""
    directory = fleet.log(2).parent
    fleet.balancer.deregister(2)
    fleet.stop(2)
    sh(f"mount -t tmpfs -o size=64k tmpfs {directory}")
    try:
        fleet.join(2, "log.level=trace")
        sh(f"head -c 1M /dev/zero > {directory}/full", check=False)
        for _ in range(20):
            os.kill(fleet.pid(2), signal.SIGHUP)
            time.sleep(0.1)
        fleet.balancer.deregister(2)
        fleet.stop(2)
    finally:
        sh(f"umount -l {directory}", check=False)
    fleet.join(2)


def kill(fleet):
    """kill -9 instance 2; back after 1 s"""
    at = time.monotonic()
    fleet.processes[2].kill()
    fleet.processes[2].wait()
    time.sleep(1)
    fleet.start(2)
    time.sleep(0.5)
    fleet.balancer.wait(2, "healthy")
    return at


def freeze(fleet):
    """SIGSTOP instance 2 for 5 s, then what a watchdog does: kill, start"""
    at = time.monotonic()
    os.kill(fleet.pid(2), signal.SIGSTOP)
    fleet.balancer.wait(2, "unhealthy")
    time.sleep(3)
    fleet.processes[2].kill()
    fleet.processes[2].wait()
    fleet.start(2)
    fleet.balancer.wait(2, "healthy")
    return at


def cut_off(fleet):
    """cut instance 2 off the network for 4 s"""
    at = time.monotonic()
    fleet.network.cut(2, True)
    fleet.balancer.wait(2, "unhealthy")
    time.sleep(2)
    fleet.network.cut(2, False)
    fleet.balancer.wait(2, "healthy")
    return at


def slow(fleet):
    """slow instance 2: stopped 100 ms of every 150 for 4 s"""
    at = time.monotonic()
    while time.monotonic() < at + 4:
        os.kill(fleet.pid(2), signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(fleet.pid(2), signal.SIGCONT)
        time.sleep(0.05)
    return at


def fill_descriptors(fleet):
    """fill the descriptor table of instance 2 for 4 s"""
    at = time.monotonic()
    pid = fleet.pid(2)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limits[1]))
    time.sleep(4)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    fleet.balancer.wait(2, "healthy")
    return at


PLANNED = [rest, roll, roll_deregistered, scale, reload, fill_disk]
FAULTS = [kill, freeze, cut_off, slow, fill_descriptors]


def play(case, fleet):
    """Runs one case under load; returns its row of the table and what is wrong with it."""
    load = Load(fleet)
    begun = time.monotonic()
    at = case(fleet)
    time.sleep(1)
    total, bad = load.end()
    took = time.monotonic() - begun
    kinds = total["failed"] | {f"wrong {kind}": count for kind, count in total["wrong"].items()}
    errors = sum(kinds.values())
    recovery = max((when - at for when in bad), default=0.0) if at else 0.0
    row = [case.__doc__, f"{total['correct']:,}", str(errors),
           ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "–",
           "planned" if not at else f"{recovery:.0f} s" if errors else "none",
           f"{total['latency_us']['max'] / 1000:.0f} ms", f"{took:.0f} s"]
    faults = []
    if total["correct"] < 1000:
        faults.append("hardly any load: the case proves nothing")
    if total["wrong"]:
        faults.append("wrong answers")
    if not at and errors:
        faults.append("a planned change cost requests")
    if recovery > RECOVERY_MAX_S:
        faults.append(f"errors for longer than {RECOVERY_MAX_S} s")
    return row, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("cases", nargs="*", help=", ".join(case.__name__ for case in PLANNED + FAULTS))
    options = parser.parse_args()
    cases = [case for case in PLANNED + FAULTS if not options.cases or case.__name__ in options.cases]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("test-fleet: interrupted"))
    fleet = Fleet(options.binary.resolve())
    failed = []
    try:
        for instance in range(1, INSTANCES + 1):
            fleet.join(instance)
        print("| what is done | right answers | errors | of which | until the last error | slowest answer | took |", flush=True)
        print("| --- | ---: | ---: | --- | ---: | ---: | ---: |", flush=True)
        for case in cases:
            row, faults = play(case, fleet)
            print(f"| {' | '.join(row)} |", flush=True)
            failed += [f"{case.__name__}: {fault}" for fault in faults]
    finally:
        fleet.close()
    if failed:
        sys.exit("test-fleet: " + "; ".join(failed))


if __name__ == "__main__":
    main()
