"""Published stores in the fleet: an S3 (moto) beside the balancer, the operator's and the instances' own scripts, and a
witness who asks every instance all the time and knows every right answer.

Three sets of data, halves of the sample and all of it; the answers to each come from the independent oracle. A witness's
query is one to which no two of them answer alike, so an answer tells which data gave it.
"""
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from balancer import TARGET_PORT
from network import address, sh

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/oracle"))
import tweet_gen  # noqa: E402  (the path above comes first)
import twitter_oracle  # noqa: E402

S3 = "http://10.99.0.1:5000"
# moto checks no signature, but refuses who shows none.
WHO = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"
URL = "s3://trident-data/twitter"
QUERIES = 60
SYSTEMCTL = '#!/bin/sh\nkill -HUP "$TRIDENT_PID"\n'
# Of a disk that holds two stores.
DISK = "12m"
PATIENCE = 60


class Data:
    """A store, and what is right of it."""

    def __init__(self, name, lines, directory, binary):
        self.name, self.store, self.queries = name, directory / name, directory / f"{name}.jsonl"
        tweets = directory / f"{name}.tweets.jsonl"
        tweets.write_bytes(b"".join(lines))
        sh(f"{binary} etl --input {tweets} --output {self.store} --workers 1")
        self.tables = twitter_oracle.etl(line.rstrip(b"\n") for line in lines)

    def answer(self, query):
        return twitter_oracle.handle(self.tables, query).decode().partition("\n")[2]


def made(directory, binary):
    """{name: Data}, and the queries that tell them apart: {target: {answer: name}}."""
    with gzip.open(ROOT / "data/sample-tweets.jsonl.gz") as sample:
        lines = sample.readlines()
    half = len(lines) // 2
    parts = {"first": lines[:half], "all": lines, "second": lines[half:]}
    data = {name: Data(name, part, directory, binary) for name, part in parts.items()}
    telling = {}
    for query in tweet_gen.gen_queries(7, data["all"].tables, 5000):
        answers = {one.answer(query): name for name, one in data.items()}
        if len(answers) == len(data) and len(telling) < QUERIES:
            telling["/twitter?" + query] = answers
    for name, one in data.items():
        lines = [{"target": target, "expect": {"result": next(a for a, of in answers.items() if of == name)}}
                 for target, answers in telling.items()]
        one.queries.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return data, telling


class Publishing:
    """`contents` maps a content to the name of its data."""

    def __init__(self, fleet, python):
        self.fleet, self.network = fleet, fleet.network
        self.directory = pathlib.Path(fleet.directory.name)
        self.data, self.telling = made(self.directory, fleet.binary)
        self.contents = {self.content(one): name for name, one in self.data.items()}
        self.followers, self.witnesses = {}, {}
        self.alarms = self.directory / "alarms"
        self.server = self.network.start(
            "b", [python, str(ROOT / "tests/ops/moto_server.py"), "5000", "10.99.0.1"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"})
        wait_until("S3 answers", lambda: self.curl("-X PUT", "").returncode == 0)
        self.publish("first", "--no-wait")

    def content(self, one):
        """The name that publish-store will give it."""
        queries = self.directory / "asked.jsonl"
        queries.write_text(sh(f"{ROOT}/scripts/lib/storelib.py check-queries {one.queries}").stdout)
        manifest = sh(f"{ROOT}/scripts/lib/storelib.py manifest {one.store} {queries}").stdout
        return hashlib.sha256(manifest.encode()).hexdigest()

    def curl(self, options, path):
        return self.network.inside("b", f"curl -sf --max-time 60 -H '{WHO}' {options} {S3}/trident-data{path}", check=False)

    def publish_store(self, *arguments, code=0):
        return self.publish_store_later(*arguments, code=code)()

    def publish_store_later(self, *arguments, code=0):
        """Starts it; what is returned waits for its end."""
        instances = " ".join(f"i-{n}" for n in self.network.instances)
        environment = {
            "PATH": f"{pathlib.Path(__file__).parent}:{os.environ['PATH']}", "S3": S3, "INSTANCES": instances, "AWS_REGION": "r",
            "PUBLISH_POLL_SECONDS": "0.5", "ALARMS": str(self.alarms),
        }
        command = [str(ROOT / "scripts/publish-store"), URL, "--trident", str(self.fleet.binary), *arguments]
        run = self.network.start("b", command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def end():
            said, _ = run.communicate(timeout=300)
            if run.returncode != code:
                raise SystemExit(f"test-fleet: publish-store {' '.join(arguments)}: exit {run.returncode}\n{said}")
            return said
        return end

    def publish_later(self, name, *arguments, code=0):
        return self.publish_store_later(str(self.data[name].store), "--queries", str(self.data[name].queries), *arguments, code=code)

    def publish(self, name, *arguments, code=0):
        return self.publish_later(name, *arguments, code=code)()

    def begin(self):
        for instance in self.network.instances:
            self.followers[instance].start()
            self.witnesses[instance] = Witness(self, instance)

    def attach(self, instance):
        """Before an instance is started: what a boot does. Returns the server's arguments."""
        follower = self.followers[instance] = Follower(self, instance)
        follower.run("--boot")
        return ["--admin", "127.0.0.1:9090", "--twitter-store", str(follower.stores / "current")]

    def report(self, instance):
        told = self.curl("", f"/twitter/instances/i-{instance}.json").stdout
        return json.loads(told) if told else {}

    def wait_until(self, what, holds):
        wait_until(what, holds, lambda: "\n".join(f"instance {n}: {one.swaps}\n{(one.root / 'log').read_text()}"
                                                 for n, one in self.followers.items()))

    def held(self, instance):
        """Name of the data that an instance said last it serves."""
        return self.contents.get(self.report(instance).get("content"))

    def faults(self):
        """What the witnesses saw, of each instance: an error, or an answer of data that it did not hold then."""
        faults, asked = [], 0
        for instance, witness in self.witnesses.items():
            answers, swaps = witness.taken(), self.followers[instance].swaps
            asked += len(answers)
            wrong = [one for one in answers if not is_right(*one, swaps)]
            if wrong:
                faults.append(f"instance {instance} gave {len(wrong)} of {len(answers)} wrong answers, as {wrong[0]}, {swaps}")
            if len(answers) < 20:
                faults.append(f"instance {instance} was hardly asked")
        return faults, asked

    def close(self):
        for one in [*self.followers.values(), *self.witnesses.values()]:
            one.stop()
        self.server.kill()
        self.server.wait()


def wait_until(what, holds, told=lambda: ""):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"test-fleet: it never came that {what}\n{told()}")
        time.sleep(0.1)


def is_right(begun, ended, name, swaps):
    """Of the data that was held when it was asked, or of those that came or went meanwhile."""
    held = None
    allowed = set()
    for since, until, new in swaps:
        if until <= begun:
            held = new
        elif since <= ended:
            allowed.add(new)
    return name in allowed | {held}


class Follower(threading.Thread):
    """The timer of an instance: runs `store` again a second after its last run, and keeps what that says it has swapped: (since,
    until, name of the data). Its disk is small."""

    def __init__(self, publishing, instance):
        super().__init__(daemon=True)
        self.publishing, self.instance = publishing, instance
        self.root = publishing.directory / f"root{instance}"
        self.stores = self.root / "var/lib/trident-stores"
        self.swaps, self.process, self.stopped = [], None, threading.Event()
        self.stores.mkdir(parents=True)
        self.log = open(self.root / "log", "w")
        sh(f"mount -t tmpfs -o size={DISK} tmpfs {self.stores}")
        for name, text in {"systemctl": SYSTEMCTL}.items():
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o755)
        (self.root / "usr/bin").mkdir(parents=True)
        (self.root / "usr/bin/trident").symlink_to(publishing.fleet.binary)

    def execute(self, *arguments):
        environment = {
            "PATH": f"{self.root}:{pathlib.Path(__file__).parent}:{os.environ['PATH']}", "ROOT": str(self.root), "S3": S3,
            "STORE_URL": URL, "INSTANCE": f"i-{self.instance}", "REGION": "r", "ROOM_RESERVE_BYTES": "0", "DAMAGED_SECONDS": "3",
        }
        if self.instance in self.publishing.fleet.processes:
            environment["TRIDENT_PID"] = str(self.publishing.fleet.pid(self.instance))
        begun = time.monotonic()
        self.process = self.publishing.network.start(
            f"i{self.instance}", [sys.executable, str(ROOT / "ami/rootfs/usr/lib/trident/store"), *arguments], env=environment,
            stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True)
        for line in self.process.stdout:
            verb, _, content = line.removeprefix("store: ").strip().partition(" ")
            if verb == "serves":
                self.swaps.append((begun, time.monotonic(), self.publishing.contents[content]))
        self.process.wait()

    def run(self, *arguments):
        if arguments:
            begun = time.monotonic()
            self.execute(*arguments)
            if self.process.returncode:
                raise SystemExit(f"test-fleet: no store: {(self.root / 'log').read_text()}")
            content = os.readlink(self.stores / "current")
            self.swaps.append((begun, time.monotonic(), self.publishing.contents[content]))
            return
        while not self.stopped.wait(1):
            self.execute()

    def kill(self):
        """As a machine that is switched off does, in the middle of a run."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def stop(self):
        self.stopped.set()
        if self.is_alive():
            self.join()
        sh(f"umount -l {self.stores}", check=False)


class Witness(threading.Thread):
    """Asks an instance, past the balancer, and keeps (begun, ended, name of the data that answered)."""

    def __init__(self, publishing, instance):
        super().__init__(daemon=True)
        self.publishing, self.instance = publishing, instance
        self.answers, self.stopped = [], threading.Event()
        self.start()

    def run(self):
        self.publishing.network.enter("b")
        connection = http.client.HTTPConnection(address(self.instance), TARGET_PORT, timeout=10)
        while True:
            for target, answers in self.publishing.telling.items():
                if self.stopped.wait(0.02):
                    return
                begun = time.monotonic()
                try:
                    connection.request("GET", target)
                    body = connection.getresponse().read().decode().partition("\n")[2]
                    name = answers.get(body, f"none of the data: {body[:80]!r}")
                except (OSError, http.client.HTTPException) as error:
                    name = repr(error)
                    connection.close()
                self.answers.append((begun, time.monotonic(), name))

    def taken(self):
        answers, self.answers = self.answers, []
        return answers

    def stop(self):
        self.stopped.set()
        self.join()
