"""Hosts as network namespaces: a client, a balancer (or only a router), and instances on one bridge behind it. The
fleet's tests use them, and the cluster's, whose databases are instances too.

    client 10.98.0.2 -- 10.98.0.1 balancer 10.99.0.1 -- bridge -- 10.99.0.11, .12, .13 instances

Addresses are the same in every run; names carry the process number, so that runs do not meet. Needs root.
"""
import ctypes
import os
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
BALANCER = "10.98.0.1"


def sh(command, check=True, **more):
    return subprocess.run(command, shell=True, check=check, capture_output=True, text=True, **more)


def address(instance):
    return f"10.99.0.1{instance}"


class Network:
    """The namespaces; `close` removes them and everything in them."""

    def __init__(self, instances, kind="fleet"):
        self.prefix = f"{kind}{os.getpid()}"
        self.instances = range(1, instances + 1)
        self.names = ["c", "b", *(f"i{n}" for n in self.instances)]
        try:
            self.build()
        except subprocess.CalledProcessError as error:
            self.close()
            print(f"test-{kind}: no network of its own here: {error.cmd}: {error.stderr.strip()}", file=sys.stderr)
            raise SystemExit(69) from error

    def name(self, host):
        return f"{self.prefix}{host}"

    def ip(self, host, command):
        sh(f"ip -n {self.name(host)} {command}")

    def build(self):
        for host in self.names:
            sh(f"ip netns add {self.name(host)}")
            self.ip(host, "link set lo up")
        self.ip("c", f"link add e0 type veth peer name c0 netns {self.name('b')}")
        self.ip("c", "addr add 10.98.0.2/24 dev e0")
        self.ip("c", "link set e0 up")
        self.ip("c", f"route add default via {BALANCER}")
        self.ip("b", f"addr add {BALANCER}/24 dev c0")
        self.ip("b", "link set c0 up")
        self.ip("b", "link add name bridge type bridge")
        self.ip("b", "addr add 10.99.0.1/24 dev bridge")
        self.ip("b", "link set bridge up")
        self.inside("b", "sysctl -qw net.ipv4.ip_forward=1")
        self.inside("c", "sysctl -qw net.ipv4.ip_local_port_range='1024 65000'")
        for n in self.instances:
            self.ip(f"i{n}", f"link add e0 type veth peer name p{n} netns {self.name('b')}")
            self.ip("b", f"link set p{n} master bridge up")
            self.ip(f"i{n}", f"addr add {address(n)}/24 dev e0")
            self.ip(f"i{n}", "link set e0 up")
            self.ip(f"i{n}", "route add default via 10.99.0.1")

    def inside(self, host, command, **more):
        """Runs a command line in a host."""
        return sh(f"ip netns exec {self.name(host)} {command}", **more)

    def start(self, host, arguments, **more):
        """Starts a process in a host."""
        return subprocess.Popen(["ip", "netns", "exec", self.name(host), *arguments], **more)

    def enter(self, host):
        """Moves the calling thread into a host, for good."""
        with open(f"/run/netns/{self.name(host)}", "rb") as namespace:
            if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {host}")

    def cut(self, instance, off):
        """Unplugs an instance, or plugs it in again."""
        self.ip("b", f"link set p{instance} {'down' if off else 'up'}")

    def close(self):
        for host in self.names:
            sh(f"ip netns pids {self.name(host)} | xargs -r kill -9", check=False)
            sh(f"ip netns del {self.name(host)}", check=False)
