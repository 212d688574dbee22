"""A Spark of one's own for scripts: a standalone master and two workers on loopback, on free ports, in one directory.

Installs PySpark in target/spark-venv (pip) and, as root, Java (apt) if they are missing.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VENV = ROOT / "target/spark-venv"
PACKAGES = ["pyspark==4.0.1", "pyarrow", "pandas"]
# Java 17 in Debian 12, 21 in Debian 13; Spark 4 runs on both.
JAVA_PACKAGE = "default-jre-headless"
# For jobs of seconds, most of the time of a JVM is its compiler and its collector.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SETTINGS = ("spark.ui.enabled=false", "spark.ui.showConsoleProgress=false",
            f"spark.executor.extraJavaOptions={JAVA_OPTIONS}", "spark.executor.memory=600m", "spark.executor.cores=1",
            "spark.cores.max=2", "spark.driver.memory=600m")


class Failed(Exception):
    """Something that must hold does not."""


def install(name):
    """For the script of this name."""
    if not shutil.which("java"):
        if os.geteuid():
            print(f"{name}: install {JAVA_PACKAGE}", file=sys.stderr)
            sys.exit(69)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "--no-remove", JAVA_PACKAGE]
        subprocess.run(command, check=True, env=environment)
    python = VENV / "bin/python"
    if subprocess.run([python, "-c", "import pyspark, pyarrow, pandas"], stderr=subprocess.DEVNULL).returncode \
            if python.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES], check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, seconds, check):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.05)
    raise Failed(f"waited {seconds} s for {what}")


class Cluster:
    """A master and two workers; their processes and files. A worker has room for an executor of two applications each."""

    def __init__(self, place):
        self.place, self.children = place, []
        self.home = subprocess.check_output(
            [VENV / "bin/python", "-c", "import os, pyspark; print(os.path.dirname(pyspark.__file__))"], text=True).strip()
        self.environment = os.environ | {
            "SPARK_HOME": self.home, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
            "PYSPARK_PYTHON": str(VENV / "bin/python"), "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_LOCAL_DIRS": str(place / "local"), "TMPDIR": str(place / "tmp"), "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS,
            # Of a store that does not look at them.
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name in ("local", "tmp", "work", "logs"):
            (place / name).mkdir()
        self.port, self.page = free_port(), free_port()
        self.url = f"spark://127.0.0.1:{self.port}"
        self.daemon("master.Master", "--port", self.port, "--webui-port", self.page)
        eventually("the master", 90, lambda: self.state() is not None)
        self.workers = [
            self.daemon("worker.Worker", "--port", "0", "--webui-port", "0", "--cores", "2", "--memory", "2g",
                        "--work-dir", place / "work" / str(index), self.url)
            for index in range(2)
        ]
        eventually("two workers", 90, lambda: (self.state() or {}).get("aliveworkers") == 2)

    def daemon(self, name, *arguments):
        command = [f"{self.home}/bin/spark-class", f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1"]
        log = open(self.place / "logs" / f"{name}.{len(self.children)}", "wb")
        child = subprocess.Popen([*command, *map(str, arguments)], env=self.environment, stdout=log, stderr=log,
                                 start_new_session=True)
        self.children.append(child)
        return child

    def state(self):
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5) as answer:
                return json.load(answer)

    def stop(self):
        for child in reversed(self.children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def processes(text):
    """Ids of the processes whose command line has `text`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes().replace(b"\0", b" "):
                    found.append(int(entry.name))
    return found


class Application:
    """A driver that runs one job after another."""

    def __init__(self, cluster, job, log, settings):
        options = [f"--master {cluster.url}", f"--driver-java-options '{JAVA_OPTIONS}'"]
        options += [f"--conf '{setting}'" for setting in (*SETTINGS, *settings)]
        environment = cluster.environment | {"PYSPARK_SUBMIT_ARGS": " ".join([*options, "pyspark-shell"])}
        # Its input and output: the jobs and how they end.
        self.child = subprocess.Popen([VENV / "bin/python", ROOT / "scripts/lib/spark_jobs.py", job], env=environment,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=cluster.place,
                                      start_new_session=True)
        cluster.children.append(self.child)
        self.answer()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise Failed("the application has ended")
        return line.strip()

    def start(self, arguments):
        self.child.stdin.write(json.dumps(arguments) + "\n")
        self.child.stdin.flush()

    def wait(self, _):
        return int(self.answer())

    def stop(self):
        self.child.stdin.close()
        if code := self.child.wait(60):
            raise Failed(f"the application ended with {code}")
