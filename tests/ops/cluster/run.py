"""Three instances on three MariaDB nodes, under load, while nodes, links, disks and instances fail; a table of it.

    run.py BINARY [CASE...]

Run by scripts/test-cluster; disturbances.py has what is done, history.py what may be seen meanwhile. At the end of a case every
instance must answer for every user exactly what the oracle makes of the batches that are in.
"""
import argparse
import atexit
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "fleet"), str(HERE.parent.parent / "oracle")]

import disturbances  # noqa: E402
import twitter_oracle as oracle  # noqa: E402
from clients import HEADER, PORT, TOKEN, Connection, Play, contacts, query  # noqa: E402
from galera import NODES, Cluster  # noqa: E402
from history import History  # noqa: E402
from network import Network, address, sh  # noqa: E402

INSTANCES = (1, 2, 3)
# The node that each instance prefers: the database sees batches of two nodes at a time.
PREFERS = {1: 1, 2: 1, 3: 2}
LINES = 1500
RATE = 60
SETTINGS = [
    "log.level=info", "twitter.ingest=public", f"twitter.ingest_token={TOKEN}",
    # So small that many users of the load are not in the cache.
    "cache_bytes=40000",
    # Refusals come from what is done here, and not from a machine that is busy with other things.
    "twitter.mysql_deadline_ms=2000",
]
# Seconds in which a store that is whole again must be written and read on every instance.
AGAIN_S = 30


class Test:
    def __init__(self, binary):
        self.binary = binary
        atexit.register(self.clean_up)
        self.network = Network(len(INSTANCES) + len(NODES), "cluster")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="trident-cluster-"))
        self.directory.chmod(0o755)  # the database is not root
        self.cluster = Cluster(self.network, self.directory)
        self.environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.directory)}
        self.instances, self.lines, self.history = {}, [], None

    def clean_up(self):
        """Whatever has been made: processes first, then their disks."""
        for part in ("network", "cluster"):
            if hasattr(self, part):
                getattr(self, part).close()
        if hasattr(self, "directory"):
            sh(f"rm -rf --one-file-system {self.directory}", check=False)

    # ------------------------------------------------------------- the store

    def trident(self, *arguments, host="i1", **more):
        run = subprocess.run(["ip", "netns", "exec", self.network.name(host), str(self.binary), *map(str, arguments)],
                             capture_output=True, text=True, env=self.environment | more)
        if run.returncode:
            raise SystemExit(f"test-cluster: trident {' '.join(map(str, arguments[:2]))}: {run.stderr}")

    def build(self):
        tweets = self.directory / "tweets.jsonl"
        self.trident("gen", "tweets", "--lines", LINES, "--users", 150, "--output", tweets)
        self.trident("etl", "--input", tweets, "--output", self.directory / "store", "--keep-history")
        self.lines = tweets.read_bytes().splitlines()
        self.import_store()
        # As an earlier version has left it: served, and without batches.
        self.cluster.nodes[1].sql(
            "USE trident; DROP TABLE trident_batch, trident_changes, trident_tweets, trident_people; "
            "DELETE FROM trident_schema WHERE version = 2")

    def import_store(self):
        self.trident("etl", "import", "--mysql", self.cluster.url(1), self.directory / "store", "--keep-history")

    # --------------------------------------------------------- the instances

    def start_instance(self, number):
        arguments = [str(self.binary), "serve", "--listen", f"0.0.0.0:{PORT}", "--admin", "off", "--workers", "2"]
        team, account = HEADER.split(",")
        arguments += ["--team", team, "--aws-account", account]
        for setting in SETTINGS:
            arguments += ["--set", setting]
        environment = self.environment | {"TRIDENT_TWITTER_STORE": self.cluster.url(PREFERS[number])}
        with open(self.directory / f"instance{number}.log", "ab") as log:
            self.instances[number] = self.network.start(f"i{number}", arguments, env=environment, stdin=subprocess.DEVNULL,
                                                        stdout=log, stderr=log)

    def kill_instance(self, number):
        self.instances[number].kill()
        self.instances[number].wait()
        self.history.restarts.append((number, time.monotonic()))

    def wait_ready(self):
        until = time.monotonic() + 60
        for number in INSTANCES:
            while Connection(number, 2).ask("GET", "/readyz")[0] != 200:
                if time.monotonic() > until:
                    raise SystemExit(f"test-cluster: instance {number} is not ready; {self.log(number)}")
                time.sleep(0.1)

    def log(self, number):
        return "\n".join((self.directory / f"instance{number}.log").read_text(errors="replace").splitlines()[-15:])

    @contextlib.contextmanager
    def writes_held(self):
        """Batches wait for the lock that each of them takes first."""
        node = self.cluster.nodes[1]
        held = subprocess.Popen(["mariadb", "--no-defaults", "-uroot", "-N", "-B", "--unbuffered", f"--socket={node.socket}"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        held.stdin.write("START TRANSACTION; SELECT number FROM trident.trident_batch FOR UPDATE;\n")
        held.stdin.flush()
        held.stdout.readline()
        try:
            yield
        finally:
            held.stdin.close()
            held.wait()


class Load:
    """`trident load` on one instance: users of the input, whose answers no batch changes, judged by the oracle."""

    def __init__(self, test, instance, urls):
        self.report = test.directory / f"load{instance}.json"
        self.report.unlink(missing_ok=True)
        self.started = time.monotonic()
        self.process = test.network.start("c", [
            str(test.binary), "load", "--urls", str(urls), "--target", f"http://{address(instance)}:{PORT}", "--rate", str(RATE),
            "--connections", "4", "--timeout", "3s", "--warmup", "0", "--duration", "1h", "--workers", "1", "--quiet",
            "--json", str(self.report)], env=test.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        if not self.report.exists():
            raise SystemExit(f"test-cluster: trident load: {said.decode()}")
        report = json.loads(self.report.read_text())
        bad = [self.started + second["second"] + 1 for second in report["timeline"] if second["errors"] or second["wrong"]]
        return report["total"], bad


def in_client(test, work, *arguments):
    """Runs `work` in the client's host: in a thread of its own, because nobody leaves a host again."""
    def run():
        test.network.enter("c")
        return work(*arguments)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def write_urls(test):
    """Requests with the digests of the answers that the oracle gives."""
    tables = oracle.etl(test.lines)
    urls = test.directory / "urls"
    with open(urls, "w") as out:
        for user in sorted(tables.contacts)[:200]:
            target = query(user)
            answer = oracle.handle(tables, target.split("?")[1])
            out.write(f"{target} sha256={hashlib.sha256(answer).hexdigest()}\n")
    return urls


def settle(test, play):
    """The last state: waits until the instances agree with the oracle; returns what is wrong."""
    connections = {number: Connection(number, 5) for number in INSTANCES}
    until = time.monotonic() + AGAIN_S
    while True:
        answers = {(number, user): connections[number].ask("GET", query(user)) for number in INSTANCES for user in play.users}
        faults = [f"instance {number}: {status} {text}" for (number, _), (status, text) in answers.items() if status != 200]
        if not faults:
            of_user = {user: contacts(answers[1, user][1]) or frozenset() for user in play.users}
            faults, present = test.history.final(of_user)
            lines = [line.encode() for batch in present for line in batch.lines]
            tables = oracle.etl(lines)
            for (number, user), (_, text) in answers.items():
                if text.encode() != oracle.handle(tables, query(user).split("?")[1]):
                    faults.append(f"instance {number}, user {user}: not what the oracle answers")
        if not faults or time.monotonic() > until:
            return faults
        time.sleep(0.3)


def play(number, case, test, urls):
    """Runs one case; its row of the table and what is wrong with it."""
    test.history = History()
    clients = Play(number, test.network, test.history, INSTANCES)
    loads = [Load(test, instance, urls) for instance in INSTANCES]
    began = time.monotonic()
    clients.start()
    time.sleep(2)
    at = case(test)
    healed = time.monotonic()
    time.sleep(2)
    stuck = clients.end()
    reports = [load.end() for load in loads]
    faults = in_client(test, settle, test, clients)
    faults += test.history.check()
    if stuck:
        faults.append(f"{stuck} clients do not get through again")
    faults += [f"no answer of the protocol: {text!r}" for text in clients.unreadable[:3]]
    right = clients.reads_right + sum(total["correct"] for total, _ in reports)
    wrong = sum(sum(total["wrong"].values()) for total, _ in reports)
    if wrong:
        faults.append(f"{wrong} wrong answers to the load")
    acknowledged = [batch for batch in test.history.batches if batch.is_acknowledged]
    if len(acknowledged) < 20 or right < 500:
        faults.append(f"hardly any load ({len(acknowledged)} batches, {right} answers): the case proves nothing")
    write_errors = [when for when, who, _ in clients.errors if who == "write"]
    read_errors = [when for when, who, _ in clients.errors if who == "read"] + [when for _, bad in reports for when in bad]
    failed = sum(sum(total["failed"].values()) for total, _ in reports) + sum(who == "read" for _, who, _ in clients.errors)
    lost = sum(fault.startswith(("lost", "half", "back")) for fault in faults)
    if at is None and (write_errors or read_errors):
        faults.append(f"errors though nothing was done: {clients.errors[:3]}")
    late = max((when - healed for when in write_errors + read_errors), default=0)
    if late > AGAIN_S:
        faults.append(f"errors for {late:.0f} s after the end of the fault")
    until = lambda errors: f"{max(max(errors) - (at or began), 0):.1f} s" if errors else "–"  # noqa: E731
    row = [case.__doc__, f"{len(acknowledged):,}", str(lost), f"{right:,}", str(wrong), str(len(write_errors)),
           until(write_errors), str(failed), until(read_errors), f"{time.monotonic() - began:.0f} s"]
    return row, faults


COLUMNS = ["what is done", "acknowledged batches", "lost", "right answers", "wrong", "writes refused", "until the last",
           "reads failed", "until the last", "took"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("cases", nargs="*", help=", ".join(case.__name__ for case in disturbances.ALL))
    options = parser.parse_args()
    names = {case.__name__: case for case in disturbances.ALL}
    if unknown := set(options.cases) - set(names):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    played = [names[name] for name in options.cases] or disturbances.ALL
    if disturbances.upgrade not in played:
        played = [disturbances.upgrade, *played]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("test-cluster: interrupted"))
    test = Test(options.binary.resolve())
    failed = []
    test.cluster.begin()
    test.build()
    urls = write_urls(test)
    for number in INSTANCES:
        test.start_instance(number)
    in_client(test, test.wait_ready)
    print(f"| {' | '.join(COLUMNS)} |\n| --- |{' ---: |' * (len(COLUMNS) - 1)}", flush=True)
    for number, case in enumerate(played):
        row, faults = play(number, case, test, urls)
        print(f"| {' | '.join(row)} |", flush=True)
        failed += [f"{case.__name__}: {fault}" for fault in faults[:5]]
        if faults:
            print("\n".join(test.log(number) for number in INSTANCES), file=sys.stderr)
    if failed:
        sys.exit("test-cluster: " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
