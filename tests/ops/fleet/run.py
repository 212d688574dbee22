"""Three instances behind a balancer, under checked load, while things are done to them; a table of what it cost.

    run.py BINARY [--real-times] [CASE...]

Run by scripts/test-fleet; cases.py has what is done, delays.py the balancer's times. A planned change must cost no
request; of a fault the errors and the time until the last of them are reported and bounded. One case is there to fail: a
drain that does not outlast the balancer must lose requests here, or this fleet would prove nothing.
"""
import argparse
import atexit
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import cases
import delays
import store_cases
from balancer import PORT, TARGET_PORT, Balancer
from network import BALANCER, Network
from publishing import Publishing

INSTANCES = 3
CONNECTIONS = 24
KEY = "6b657920666f722074657374732c206e6f7420666f7220616e79206f74686572"
# Requests a second: a fleet under load, not at its limit, on a machine that also runs the fleet.
RATE = 3000
# The store cases check which data is answered, and the witnesses add requests of their own.
STORES_RATE = 500
# Seconds without an answer that make a request lost. Far above any answer, so that a busy machine loses none.
TIMEOUT_S = 3
SETTINGS = [
    "log.level=warn",
    # Clients come and go: new connections are what a balancer directs.
    "http.requests_per_connection_max=100",
]

class Fleet:
    """Processes in the network's hosts, registered with the balancer."""

    def __init__(self, binary, times, terminate_unhealthy=False):
        self.binary, self.times = binary, times
        self.network = Network(INSTANCES)
        atexit.register(self.network.close)
        self.directory = tempfile.TemporaryDirectory()
        self.processes = {}
        self.publishing = None
        self.balancer = Balancer(self.network, times, terminate_unhealthy)

    def start(self, instance, *settings):
        environment = {
            "PATH": os.environ["PATH"], "TRIDENT_AUTH_KEY": KEY, "CACHE_DIRECTORY": self.directory.name,
        }
        arguments = [str(self.binary), "serve", "--listen", f"0.0.0.0:{TARGET_PORT}", "--workers", "2"]
        arguments += self.publishing.attach(instance) if self.publishing else ["--admin", "off"]
        for setting in [*SETTINGS, *self.times.settings, *settings]:
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

    def stop(self, *instances):
        """A stop as systemd does it; the processes must end by themselves and well."""
        for instance in instances:
            self.processes[instance].send_signal(signal.SIGTERM)
        for instance in instances:
            if self.processes[instance].wait(135) != 0:
                raise SystemExit(f"test-fleet: instance {instance} ended with {self.processes[instance].returncode}")

    def leave(self, *instances):
        """As the scaling group and the hook `leaving` do: deregistered, then stopped when the target is unused."""
        for instance in instances:
            self.balancer.deregister(instance)
        for instance in instances:
            self.balancer.wait(instance, "unused")
        self.stop(*instances)

    def replace(self, *instances):
        """Machines that have ended are gone for a while; then others are there in their place."""
        for instance in instances:
            self.network.cut(instance, True)
        time.sleep(self.times.gone)
        for instance in instances:
            self.network.cut(instance, False)
            self.start(instance)
            self.balancer.set(instance, "initial")
        for instance in instances:
            self.balancer.wait(instance, "healthy")

    def pid(self, instance):
        return self.processes[instance].pid  # `ip netns exec` becomes the command

    def close(self):
        if self.publishing:
            self.publishing.close()
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
            "--rate", str(STORES_RATE if fleet.publishing else RATE), "--timeout", f"{TIMEOUT_S}s", "--warmup", "0", "--duration", "2h", "--workers", "1",
            "--quiet", "--json", str(self.report),
            # The built-in corpus knows the answers of another store.
            *(["--mix", "blockchain=1,qrcode=1"] if fleet.publishing else []),
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
    strange, asked = fleet.publishing.faults() if fleet.publishing else ([], 0)
    recovery = max((when - at for when in bad), default=0.0) if at else 0.0
    row = [case.__doc__, f"{total['correct'] + asked:,}", str(errors),
           ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "–",
           "planned" if not at else f"{recovery:.0f} s" if errors else "none",
           f"{total['latency_us']['max'] / 1000:.0f} ms", f"{took:.0f} s"]
    faults = strange
    if total["correct"] < 1000:
        faults.append("hardly any load: the case proves nothing")
    if total["wrong"]:
        faults.append("wrong answers")
    if case in cases.HARSH:
        return row, faults if errors else ["no request was lost: these delays prove nothing"]
    if not at and errors:
        faults.append("a planned change cost requests")
    # Two failed checks, the balancer's lag, one request's timeout, and room for a busy machine.
    longest = fleet.times.noticed + fleet.times.lag_unhealthy + TIMEOUT_S + 4
    if recovery > longest:
        faults.append(f"errors for longer than {longest:.0f} s")
    return row, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("cases", nargs="*", help=", ".join(case.__name__ for case in cases.ALL))
    parser.add_argument("--real-times", action="store_true", help="the balancer's real delays, the server's defaults")
    options = parser.parse_intermixed_args()
    groups = {"leaving": cases.LEAVING, "others": cases.OTHERS, "stores": store_cases.STORES}
    names = {case.__name__: [case] for case in cases.ALL} | groups
    unknown = set(options.cases) - set(names)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    played = [case for name in options.cases for case in names[name]]
    played = played or (cases.REAL if options.real_times else cases.ALL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("test-fleet: interrupted"))
    fleet = Fleet(options.binary.resolve(), delays.chosen(options.real_times))
    failed = []
    try:
        if played == store_cases.STORES:
            fleet.publishing = Publishing(fleet, sys.executable)
        for instance in range(1, INSTANCES + 1):
            fleet.join(instance)
        if fleet.publishing:
            fleet.publishing.begin()
        print("| what is done | right answers | errors | of which | until the last error | slowest answer | took |", flush=True)
        print("| --- | ---: | ---: | --- | ---: | ---: | ---: |", flush=True)
        for case in played:
            row, faults = play(case, fleet)
            print(f"| {' | '.join(row)} |", flush=True)
            failed += [f"{case.__name__}: {fault}" for fault in faults]
    finally:
        fleet.close()
    if failed:
        sys.exit("test-fleet: " + "; ".join(failed))


if __name__ == "__main__":
    main()
