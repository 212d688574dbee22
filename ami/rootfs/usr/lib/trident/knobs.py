"""The knobs of `tune`: where each is read and written, and what it should be on this machine. docs/tuning.md says why.

A value is a file below ROOT or something `ethtool` tells; a plan lists the values of one knob of one card with what is
wanted of each, or raises Lacks.
"""
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(os.environ.get("ROOT", "/"))
NET = ROOT / "sys/class/net"
# In the order they are turned, both ways: resizing a ring makes the driver request its interrupts again.
DEFAULTS = {"ring": "4096", "adaptive": "on", "irq": "on", "xps": "on", "rps": "auto", "busy_poll": "off"}
# Resizing takes the carrier away for a moment, and the address with it: how long it must be back, and at most.
SETTLED_SECONDS, SETTLE_SECONDS_MAX = float(os.environ.get("SETTLED_SECONDS", "2")), 30


class Lacks(Exception):
    """This card or kernel has no such knob, or turning it would have no effect."""


def cpus_of_list(text):
    """[0, 1, 2, 5] of `0-2,5`."""
    ranges = [part.split("-") for part in text.strip().split(",") if part]
    return [cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1)]


def mask_of_cpus(cpus):
    """Groups of 32 bits, the highest first, as the kernel writes them."""
    bits = sum(1 << cpu for cpu in set(cpus))
    groups = [f"{bits >> 32 * n & 0xffffffff:08x}" for n in range((max(bits.bit_length(), 1) + 31) // 32)]
    return ",".join(reversed(groups)).lstrip("0") or "0"


def read(path):
    return path.read_text().strip()


# --- values that can be read and written --------------------------------------------------------------------------


class File:
    """A value in a file below ROOT; `name` is its interrupt's, whose number may be another's after a reload."""

    def __init__(self, knob, device, where, name=None):
        self.knob, self.device, self.where, self.name = knob, device, where, name

    def record(self, before):
        return {"knob": self.knob, "device": self.device, "where": self.where, "name": self.name, "before": before}

    def read(self):
        if self.name and interrupt_names().get(int(self.where.split("/")[2])) != self.name:
            raise FileNotFoundError(f"the interrupt of {self.name} is another's now")
        return read(ROOT / self.where)

    def write(self, text):
        (ROOT / self.where).write_text(text + "\n")

    def same(self, one, other):
        if self.knob == "irq":
            return cpus_of_list(one) == cpus_of_list(other)
        if self.knob in ("xps", "rps"):
            return int(one.replace(",", ""), 16) == int(other.replace(",", ""), 16)
        return one == other


class Ethtool:
    """A value that the driver keeps, `ring` or `adaptive`."""

    def __init__(self, knob, device, where=None, name=None):
        self.knob, self.device = knob, device

    def record(self, before):
        return {"knob": self.knob, "device": self.device, "before": before}

    def run(self, *arguments):
        option, *rest = arguments
        try:
            done = subprocess.run(["ethtool", option, self.device, *rest], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise OSError("ethtool is not installed") from None
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise Lacks("device lacks it") if "not supported" in said else \
                FileNotFoundError(said) if "No such device" in said else OSError(f"ethtool {option}: {said}")
        return done.stdout

    def rings(self):
        """(largest, present) entries of the receive ring."""
        found = re.findall(r"(?m)^RX:\s*(\d+)", self.run("-g"))
        if len(found) != 2:
            raise Lacks("device lacks it")
        return int(found[0]), int(found[1])

    def read(self):
        if self.knob == "ring":
            return str(self.rings()[1])
        told = self.run("-c")
        adaptive = re.search(r"Adaptive RX:\s*(on|off)", told)
        if not adaptive:
            raise Lacks("device lacks it")
        fixed = re.search(r"(?m)^rx-usecs:\s*(\d+)", told)
        return "on" if adaptive[1] == "on" or not fixed else f"off rx-usecs {fixed[1]}"

    def write(self, text):
        if self.knob == "adaptive":
            mode, *fixed = text.split()
            self.run("-C", "adaptive-rx", mode)
            if mode == "on" and self.read() != "on":
                raise Lacks("the driver does not take it")
            if fixed and self.read() != text:
                self.run("-C", *fixed)
            return
        had_route = has_route(self.device)
        self.run("-G", "rx", text)
        wait_until_settled(self.device, had_route)

    def same(self, one, other):
        return one == other


def has_route(device):
    """Whether the default route goes over this card."""
    try:
        lines = [line.split() for line in read(ROOT / "proc/net/route").splitlines()]
    except OSError:
        return False
    return any(line[0] == device and line[1] == "00000000" for line in lines if len(line) > 1)


def wait_until_settled(device, had_route):
    if not had_route:
        return
    end, since = time.monotonic() + SETTLE_SECONDS_MAX, time.monotonic()
    while time.monotonic() < min(end, since + SETTLED_SECONDS):
        time.sleep(0.05)
        since = since if has_route(device) else time.monotonic()


def value_of(record):
    kind = Ethtool if record["knob"] in ("ring", "adaptive") else File
    return kind(record["knob"], record["device"], record.get("where"), record.get("name"))


# --- what the values should be ------------------------------------------------------------------------------------


def cards():
    """The interfaces that are hardware."""
    return sorted(path.name for path in NET.iterdir() if (path / "device").exists() and read(path / "type") == "1")


def queues(device, kind):
    found = [path.name for path in (NET / device / "queues").glob(f"{kind}-*")]
    return sorted(found, key=lambda name: int(name.split("-")[1]))


def interrupt_names():
    """{number: name} of /proc/interrupts."""
    lines = [line.split() for line in (ROOT / "proc/interrupts").read_text().splitlines()]
    return {int(line[0][:-1]): line[-1] for line in lines if line and re.fullmatch(r"\d+:", line[0])}


def online():
    return cpus_of_list(read(ROOT / "sys/devices/system/cpu/online"))


def near(device):
    """Processors that are online and share the card's memory domain; all, where the card names none."""
    try:
        node = read(NET / device / "device/numa_node")
        within = set(cpus_of_list(read(ROOT / f"sys/devices/system/node/node{node}/cpulist")))
    except OSError:
        return online()
    return [cpu for cpu in online() if cpu in within] or online()


def in_order(device):
    """Processors as the queues are given to them: queue i and processor i, those near the card first."""
    first = near(device)
    return first + [cpu for cpu in online() if cpu not in first]


def plan_ring(device, setting):
    ring = Ethtool("ring", device)
    largest, present = ring.rings()
    # Never smaller: somebody who wanted more had a reason.
    return [(ring, str(max(present, min(int(setting), largest))))]


def plan_adaptive(device, _):
    return [(Ethtool("adaptive", device), "on")]


def balancer_runs():
    """irqbalance moves interrupts by itself, and what is written here would not last."""
    sockets = (ROOT / "run/irqbalance").glob("irqbalance*.sock")
    return any((ROOT / "proc" / re.sub(r"\D", "", path.name)).exists() for path in sockets)


def plan_irq(device, _):
    place = pathlib.Path(os.path.realpath(NET / device / "device"))
    # A virtio card's interrupts are its PCI device's.
    numbers = [int(path.name) for at in (place, place.parent) for path in (at / "msi_irqs").glob("*")]
    names = interrupt_names()
    of_queue = {}
    for number in sorted(set(numbers) & set(names)):
        if found := re.search(r"(?i)(?:tx-?rx|rx|tx|input|output)[-.](\d+)$", names[number]):
            of_queue[number] = int(found[1])
    if not of_queue:
        raise Lacks("device lacks it")
    if balancer_runs():
        raise Lacks("irqbalance runs")
    order = in_order(device)
    return [(File("irq", device, f"proc/irq/{number}/smp_affinity_list", names[number]), str(order[queue % len(order)]))
            for number, queue in of_queue.items()]


def plan_xps(device, _):
    names, order = queues(device, "tx"), in_order(device)
    if len(names) < 2:
        raise Lacks("a single queue, nothing to choose")
    wanted = []
    for index, name in enumerate(names):
        # More queues than processors: a processor's queues share its flows.
        share = order[index::len(names)] or [order[index % len(order)]]
        wanted.append((File("xps", device, f"sys/class/net/{device}/queues/{name}/xps_cpus"), mask_of_cpus(share)))
    return wanted


def plan_rps(device, _):
    names, order = queues(device, "rx"), in_order(device)
    if not names:
        raise Lacks("device lacks it")
    if len(names) >= len(order):
        raise Lacks("a queue for every processor")
    interrupted = order[:len(names)]
    siblings = set()
    for cpu in interrupted:
        try:
            siblings |= set(cpus_of_list(read(ROOT / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")))
        except OSError:
            pass
    free = [cpu for cpu in near(device) if cpu not in interrupted]
    free = [cpu for cpu in free if cpu not in siblings] or free
    if not free:
        raise Lacks("no free processor near the card")
    return [(File("rps", device, f"sys/class/net/{device}/queues/{name}/rps_cpus"), mask_of_cpus(free)) for name in names]


def plan_busy_poll(_, setting):
    names = [name for name in ("busy_poll", "busy_read") if (ROOT / "proc/sys/net/core" / name).exists()]
    if not names:
        raise Lacks("kernel lacks it")
    return [(File("busy_poll", "kernel", f"proc/sys/net/core/{name}"), setting) for name in names]


PLANS = {"ring": plan_ring, "adaptive": plan_adaptive, "irq": plan_irq, "xps": plan_xps, "rps": plan_rps,
         "busy_poll": plan_busy_poll}
