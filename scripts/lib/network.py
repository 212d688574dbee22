"""A network of a script's own: hosts in namespaces on one switch, and the programs that run on them."""
import json
import os
import shutil
import signal
import subprocess
import time

from lib import environment

START_SECONDS = 60
STOP_SECONDS = 10


class Broken(Exception):
    """A program on a host did not do what it was started for."""


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Network:
    """Hosts by name and IPv4 address, in one /24, each with its end `e0` of a line to the switch; `with` removes them, and
    what runs on them. Needs root and ip (environment.Missing says so)."""

    def __init__(self, **addresses):
        self.addresses = addresses
        self.switch = f"net{os.getpid()}switch"
        self.names = {host: f"net{os.getpid()}{host}" for host in addresses}
        self.running = []

    def __enter__(self):
        if os.geteuid() or not shutil.which("ip"):
            raise environment.Missing("hosts of a network of its own need root and ip")
        try:
            for name in (self.switch, *self.names.values()):
                output("ip", "netns", "add", name)
                output("ip", "-n", name, "link", "set", "lo", "up")
            output("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
            output("ip", "-n", self.switch, "link", "set", "br0", "up")
            for number, (host, name) in enumerate(self.names.items()):
                output("ip", "-n", self.switch, "link", "add", f"p{number}", "type", "veth", "peer", "name", "e0", "netns", name)
                output("ip", "-n", self.switch, "link", "set", f"p{number}", "master", "br0", "up")
                output("ip", "-n", name, "addr", "add", f"{self.addresses[host]}/24", "dev", "e0")
                output("ip", "-n", name, "link", "set", "e0", "up")
        except subprocess.CalledProcessError as error:
            self.__exit__()
            raise environment.Missing(f"no network of its own here: {error.stderr.strip()}") from error
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.send_signal(signal.SIGINT)  # nobody is connected: no drain
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in (self.switch, *self.names.values()):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def on(self, host, *command):
        """The command that runs `command` on `host`."""
        return ["ip", "netns", "exec", self.names[host], *map(str, command)]

    def start(self, host, port, *command):
        """Starts a program, and waits until it takes connections."""
        process = subprocess.Popen(
            self.on(host, *command), stdout=subprocess.DEVNULL,
            env=environment.without_settings() | {"TRIDENT_DRAIN_ACCEPT_MS": "0", "TRIDENT_LOG": "error"},
        )
        self.running.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not self.listens(host, port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"{host} did not start: {' '.join(map(str, command))}")
            time.sleep(0.1)

    def listens(self, host, port):
        # Reads the kernel's table: a program may take a connection for more than a probe.
        table = output(*self.on(host, "cat", "/proc/net/tcp"))
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in table.splitlines()[1:])

    def received(self, host):
        """Bytes that came in so far."""
        stats = json.loads(output("ip", "-n", self.names[host], "-s", "-j", "link", "show", "e0"))
        return stats[0]["stats64"]["rx"]["bytes"]

    def shape(self, host, mbit):
        """Holds what `host` sends to so many megabits a second. The queue takes all connections' answers, so nothing is
        dropped; the burst is some milliseconds of the line, so that a busy machine's late timers lose nothing of it."""
        output("tc", "-n", self.names[host], "qdisc", "replace", "dev", "e0", "root", "tbf",
               "rate", f"{mbit}mbit", "burst", "64kb", "limit", "1mb")

    def open(self, host):
        """Ends what `shape` began."""
        subprocess.run(["tc", "-n", self.names[host], "qdisc", "del", "dev", "e0", "root"], check=False, capture_output=True)
