"""What scripts/bench and its relatives share: the servers, how they are started, what the host is.

A server is started pinned to a core, is ready once it answers /healthz with 200, can be
paused (SIGSTOP) while another one is measured, and dies with this process, however it ends.
"""
import atexit
import ctypes
import http.client
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "benches/data"
BASELINE = ROOT / "benches/baseline"
BASELINE_BIN = BASELINE / "target/release"
TEAM, AWS_ACCOUNT = "TEAMID", "000000000000"
# Public on purpose: a bench key, so that tokens can be checked.
AUTH_KEY = "00" * 32
FIRST_PORT = 19180
# Name in the tables -> binary. raw_fixed is raw, answering as many bytes as the fixed answer has.
SERVERS = {"trident": "trident", "raw": "raw_epoll", "raw_fixed": "raw_epoll", "may_minihttp": "may_minihttp_hello",
           "epoll": "plain_epoll", "hyper": "hyper_hello", "plain": "plain"}
# Those that answer as many bytes as they are told.
SIZED = ("raw", "raw_fixed", "epoll")
READY_SECONDS = 10
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)
_running = []
_ports = iter(range(FIRST_PORT, 1 << 16))


class Failed(Exception):
    """The bench cannot go on; the text says why."""


def server_command(name, port, trident=None, cache_bytes=0, body_bytes=40, response_bytes=153, depth=1,
                   workers=1):
    """Command line of a server of SERVERS; the sizes matter to those that have them."""
    if name == "trident":
        binary = str(trident or ROOT / "target/release/trident")
        return [binary, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off", "--workers", str(workers),
                "--team", TEAM, "--aws-account", AWS_ACCOUNT, "--cache-bytes", str(cache_bytes)]
    common = [str(BASELINE_BIN / SERVERS[name]), "--port", str(port), "--threads", str(workers)]
    if name.startswith("raw"):
        mode = "scan" if depth > 1 else "noscan"
        return [*common, "--mode", mode, "--response-bytes", str(response_bytes)]
    if name == "epoll":
        return [*common, "--response-bytes", str(response_bytes)]
    return [*common, "--body-bytes", str(body_bytes)]


def add_server_flags(parser, default):
    """The flags every script has that runs one server after the other."""
    parser.add_argument("--servers", default=default, metavar="SERVER,…", help=f"default: {default}")
    parser.add_argument("--trident", metavar="BINARY", help="default: target/release/trident")
    parser.add_argument("--no-build", action="store_true")


def parse_server_flags(parser):
    """Parses, checks the names, builds what is needed; `servers` becomes a list."""
    args = parser.parse_args()
    args.servers = args.servers.split(",")
    unknown = sorted(set(args.servers) - set(SERVERS))
    if unknown:
        parser.error(f"no such server: {', '.join(unknown)}")
    if not args.no_build:
        build(trident="trident" in args.servers and args.trident is None)
    return args


def build(trident=True):
    """Builds what the benches run, release profile, locked versions."""
    run = [["cargo", "build", "--release", "--locked"]] if trident else []
    run.append(["cargo", "build", "--release", "--locked", "--manifest-path", str(BASELINE / "Cargo.toml")])
    for command in run:
        if subprocess.run(command, cwd=ROOT).returncode:
            raise Failed(f"failed: {shlex.join(command)}")


class Server:
    """One running server process."""

    def __init__(self, name, command, port, core=None, prefix=(), ready_seconds=READY_SECONDS):
        self.name, self.port = name, port
        pin = ["taskset", "-c", str(core)] if core is not None else []
        self.command = [*pin, *prefix, *command]
        # Figures are those of the defaults, whatever the shell has set.
        env = environment.without_settings() | {"TRIDENT_AUTH_KEY": AUTH_KEY}
        # A file, not a pipe: nobody reads while the server runs, and a full pipe would stop it.
        self.stderr = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(self.command, env=env, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=self.stderr,
                                            preexec_fn=_die_with_parent)
        except OSError as error:
            raise Failed(f"{name} does not start: {error}") from None
        _running.append(self)
        self._wait_until_ready(ready_seconds)

    def _wait_until_ready(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended at once (code {self.process.returncode}): {self._said()}\n"
                             f"  {shlex.join(self.command)}")
            try:
                get(self.port, ["/healthz"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            else:
                if self.process.poll() is None:
                    return
        raise Failed(f"{self.name} does not answer on port {self.port}: {shlex.join(self.command)}")

    def _said(self):
        self.stderr.seek(0)
        return self.stderr.read().decode("utf-8", "replace").strip()

    @property
    def pid(self):
        return self.process.pid

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self, how=signal.SIGKILL, seconds=60):
        """Ends the process and returns what it wrote to stderr."""
        if self in _running:
            _running.remove(self)
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=seconds)
            return self._said()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.name} did not end within {seconds} s of {how.name}") from None


def stop_all():
    for server in list(_running):
        server.stop()


atexit.register(stop_all)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(run):
    """Runs a script's main: cleans up on signals too, and prints failures in one line."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        sys.exit(run())
    except Failed as failure:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {failure}")


def free_port():
    """A port nobody listens on, never given out before by this process.

    Checked by binding without SO_REUSEPORT: most servers here set it, and would silently share a port
    with one that another run left behind.
    """
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failed("no free port")


def get(port, targets):
    """The bodies of some GET requests on one connection; every status must be 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    bodies = []
    try:
        for target in targets:
            connection.request("GET", target)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise http.client.HTTPException(f"status {response.status} for {target[:80]}: {body[:80]}")
            bodies.append(body.decode("utf-8", "replace"))
    finally:
        connection.close()
    return bodies


def blast_command(port, targets_file, core=None, pid=None, **options):
    """Command line of the load client; options: seconds, warmup, depth, conns, requests_per_connection."""
    command = [str(BASELINE_BIN / "blast"), "--port", str(port), "--targets", str(targets_file)]
    if core is not None:
        options["core"] = core
    if pid is not None:
        options["server_pid"] = pid
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def json_output(command):
    """Runs a client that prints one line of JSON."""
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_die_with_parent)
    if done.returncode:
        raise Failed(f"{shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)


def text_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def first_line(path, otherwise="unknown"):
    try:
        return pathlib.Path(path).read_text().split("\n", 1)[0].strip()
    except OSError:
        return otherwise


def host_facts():
    """What a reader needs to compare figures: name -> text."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    field = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        field.setdefault(key.strip(), value.strip())
    flags = set(field.get("flags", field.get("Features", "")).split())
    interesting = [flag for flag in ("sha_ni", "avx2", "avx512f", "avx512ifma", "hypervisor", "sha2") if flag in flags]
    dirty = "" if text_of("git", "status", "--porcelain", "--untracked-files=no") == "" else " with local changes"
    return {
        "cpu": field.get("model name", "unknown"),
        "cpu flags of interest": " ".join(interesting),
        "cores": str(os.cpu_count()),
        "memory": first_line("/proc/meminfo").split(":")[-1].strip(),
        "kernel": os.uname().release,
        "tcp congestion control": first_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "rustc": text_of("rustc", "--version"),
        "commit": text_of("git", "rev-parse", "HEAD") + dirty,
        "load average at start": " ".join(first_line("/proc/loadavg").split()[:3]),
    }


def steal_ticks():
    """Ticks the hypervisor gave to others so far, all cores; high during a round = a noisy host."""
    return int(first_line("/proc/stat").split()[8])
