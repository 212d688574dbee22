"""Three MariaDB nodes that form one Galera cluster, each in a host and on a disk of its own."""
import os
import pathlib
import re
import signal
import subprocess
import time

from network import address, sh

NODES = (1, 2, 3)
PORT = 3306
# Instances are the hosts 1 to 3 of the network.
FIRST_HOST = 4
# A fresh data directory takes 60 MB, and twice that while another node's state comes.
DISK_MB = 320
# A failed node is noticed within seconds, not within fifteen.
PROVIDER = ("gcache.size=16M;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;evs.inactive_check_period=PT0.5S;"
            "evs.keepalive_period=PT0.5S;evs.install_timeout=PT4S;gmcast.peer_timeout=PT2S")
PATIENCE_S = 90


class Node:
    def __init__(self, number, network, directory):
        self.number, self.network = number, network
        self.place = number + FIRST_HOST - 1
        self.host = f"i{self.place}"
        self.address = address(self.place)
        self.directory = pathlib.Path(directory) / f"node{number}"
        self.data = self.directory / "data"
        self.process = None
        self.environment = {"PATH": os.environ["PATH"], "HOME": "/root"}
        self.directory.mkdir()
        sh(f"mount -t tmpfs -o size={DISK_MB}M tmpfs {self.directory}; chown mysql: {self.directory}")

    def install(self):
        sh(f"mariadb-install-db --no-defaults --user=mysql --datadir={self.data} --skip-test-db "
           f"--auth-root-authentication-method=normal --innodb-log-file-size=8M")

    def arguments(self, *more):
        peers = ",".join(address(number + FIRST_HOST - 1) for number in NODES)
        return [
            "mariadbd", "--no-defaults", "--user=mysql", f"--datadir={self.data}", f"--socket={self.socket}",
            f"--pid-file={self.directory}/pid", f"--port={PORT}", "--bind-address=0.0.0.0", "--skip-name-resolve",
            "--innodb-buffer-pool-size=48M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=1",
            "--performance-schema=0", "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON",
            "--wsrep-provider=/usr/lib/galera/libgalera_smm.so", f"--wsrep-provider-options={PROVIDER}",
            "--wsrep-cluster-name=trident", f"--wsrep-cluster-address=gcomm://{peers}",
            f"--wsrep-node-address={self.address}", f"--wsrep-node-name=node{self.number}", "--wsrep-sst-method=rsync",
            *more,
        ]

    @property
    def socket(self):
        return self.directory / "s"

    @property
    def log(self):
        return self.directory / "log"

    def start(self, *more):
        """As Debian's unit does: where the node was is read from its own files first."""
        if not more:
            more = self.position()
        # On the outer disk: the node's own may be full.
        with open(f"{self.directory}.log", "ab") as log:
            self.process = self.network.start(self.host, self.arguments(*more), stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, env=self.environment)

    def position(self):
        said = self.network.inside(self.host, " ".join(map(_quoted, self.arguments("--wsrep-recover"))), check=False)
        found = re.search(r"Recovered position:\s*(\S+)", said.stdout + said.stderr)
        return [f"--wsrep-start-position={found[1]}"] if found else []

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def sql(self, statement, check=True):
        run = subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", "-N", "-B", "--connect-timeout=5", f"--socket={self.socket}", "-e", statement],
            capture_output=True, text=True, timeout=PATIENCE_S)
        if check and run.returncode:
            raise RuntimeError(f"node {self.number}: {statement}: {run.stderr.strip()}")
        return run.stdout

    def is_synced(self, size=None):
        status = dict(line.split("\t") for line in self.sql("SHOW STATUS LIKE 'wsrep%'", check=False).splitlines()
                      if line.count("\t") == 1)
        return (status.get("wsrep_ready") == "ON" and status.get("wsrep_local_state_comment") == "Synced"
                and size in (None, int(status.get("wsrep_cluster_size", 0))))

    def wait(self, size=None):
        until = time.monotonic() + PATIENCE_S
        while not self.is_synced(size):
            if not self.is_running() or time.monotonic() > until:
                lines = pathlib.Path(f"{self.directory}.log").read_text(errors="replace").splitlines()
                tail = "\n".join([line for line in lines if "Aborted connection" not in line][-25:])
                raise SystemExit(f"test-cluster: node {self.number} does not join the cluster:\n{tail}")
            time.sleep(0.2)

    def cut(self, off):
        """Unplugs the node, or plugs it in again."""
        self.network.cut(self.place, off)

    def part_from(self, others):
        """Drops what `others` send; with none, drops nothing any more. Clients still reach the node."""
        self.network.inside(self.host, "nft delete table inet parted", check=False)
        if others:
            addresses = ", ".join(other.address for other in others)
            rules = f"""table inet parted {{
                chain from {{ type filter hook input priority 0; ip saddr {{ {addresses} }} drop; }}
                chain to {{ type filter hook output priority 0; ip daddr {{ {addresses} }} drop; }}
            }}"""
            self.network.inside(self.host, "nft -f -", input=rules)

    def slow_down(self, on):
        """A link of 300 kbit/s with a queue of 200 ms, in both directions."""
        for host, device in ((self.host, "e0"), ("b", f"p{self.place}")):
            shape = "replace dev {} root tbf rate 300kbit burst 4kb latency 200ms" if on else "del dev {} root"
            self.network.inside(host, f"tc qdisc {shape.format(device)}", check=on)

    def fill_disk(self):
        sh(f"head -c {DISK_MB}M /dev/zero > {self.directory}/full", check=False)

    def set_clock(self, seconds):
        """The node's clock is `seconds` off from now on. Only the node's: a preloaded library tells it the time."""
        clock = pathlib.Path(f"{self.directory}.clock")
        clock.write_text(f"{seconds:+d}")
        libraries = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        self.environment |= {"LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                             "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}

    def free_disk(self):
        (self.directory / "full").unlink(missing_ok=True)

    def close(self):
        sh(f"umount -l {self.directory}", check=False)


def _quoted(argument):
    return "'" + argument.replace("'", "'\\''") + "'"


class Cluster:
    """The nodes; `nodes[1]` to `nodes[3]`."""

    def __init__(self, network, directory):
        self.nodes = {number: Node(number, network, directory) for number in NODES}

    def begin(self):
        first, *others = self.nodes.values()
        self.nodes[3].set_clock(0)
        first.install()
        first.start("--wsrep-new-cluster")
        first.wait(1)
        first.sql("CREATE DATABASE trident; CREATE USER 'trident'@'%' IDENTIFIED BY 'trident'; "
                  "GRANT ALL ON trident.* TO 'trident'@'%'")
        first.stop()
        # Copies of a node that was stopped have its position: nothing has to be sent to them.
        for node in others:
            sh(f"cp -a {first.data} {node.data} && rm -f {node.data}/gvwstate.dat {node.data}/galera.cache")
        first.start("--wsrep-new-cluster")
        first.wait(1)
        self.mend()

    def mend(self):
        """Starts what has ended and waits until all are one cluster again."""
        for node in self.nodes.values():
            if not node.is_running():
                node.start()
        for node in self.nodes.values():
            node.wait(len(NODES))

    def url(self, first):
        """The address for an instance that prefers node `first`."""
        order = [(first + offset - 1) % len(NODES) + 1 for offset in range(len(NODES))]
        hosts = ",".join(f"{self.nodes[number].address}:{PORT}" for number in order)
        return f"mysql://trident:trident@{hosts}/trident"

    def close(self):
        for node in self.nodes.values():
            node.close()
