"""Boots a provisioned disk under QEMU and proves that it serves, is tuned, drains and powers off.

    boot.py DISK KERNEL INITRD

Emulated throughout (TCG): a /dev/kvm that exists may not work, and nothing here measures speed. Run by
scripts/test-image.
"""
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

BOOT_SECONDS = 300
OFF_SECONDS = 120
PORT = 8080

# What must be in an answer; the second line alone is what differs.
ANSWERS = {
    "/qrcode?type=encode&data=CC+Team": b"TEAMID,000000000000\n0x66d92b80",
    "/blockchain?cc=x": b"TEAMID,000000000000\nINVALID",
    "/blockchain?cc=eJyrVkrOSMzMU7JSiI7VUVDKSy2PL0ksSk8tAYooGSrBhCrACmoBTm4OGA==": b"TEAMID,000000000000\ne",
    "/twitter?user_id=1&type=both&phrase=hello&hashtag=cmu": b"TEAMID,000000000000\n",
    "/healthz": b"",
}


def fail(what):
    sys.exit(f"test-image: {what}")


class Machine:
    """A running QEMU: its console, its control socket and its public port on this machine."""

    def __init__(self, disk, kernel, initrd):
        self.directory = tempfile.TemporaryDirectory()
        place = pathlib.Path(self.directory.name)
        self.console = place / "console"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen([
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults",
            "-display", "none", "-no-reboot",
            "-kernel", kernel, "-initrd", initrd, "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=1",
            "-drive", f"file={disk},if=virtio,format=raw,snapshot=on",
            "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:{PORT}", "-device", "virtio-net-pci,netdev=n",
            "-device", "virtio-rng-pci",
            "-serial", f"file:{self.console}", "-qmp", f"unix:{place}/qmp,server=on,wait=off",
        ])
        self.qmp = place / "qmp"

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def press_power_button(self):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.qmp))
            for command in ("qmp_capabilities", "system_powerdown"):
                control.recv(65536)
                control.sendall(json.dumps({"execute": command}).encode() + b"\n")
            control.recv(65536)

    def get(self, path, timeout=10):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
            return answer.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()


def wait_until_serving(machine):
    start = time.monotonic()
    while time.monotonic() - start < BOOT_SECONDS:
        if machine.process.poll() is not None:
            fail(f"the machine went off while booting:\n{machine.said()[-3000:]}")
        try:
            machine.get("/readyz", timeout=3)
            return time.monotonic() - start
        except OSError:
            time.sleep(0.5)
        except http.client.HTTPException:
            time.sleep(0.5)
    fail(f"not serving after {BOOT_SECONDS} s:\n{machine.said()[-3000:]}")


def prove_inside(machine):
    """What prove.sh said on the console."""
    deadline = time.monotonic() + BOOT_SECONDS
    while "PROVE done" not in machine.said():
        if time.monotonic() > deadline or machine.process.poll() is not None:
            fail(f"the inside said nothing:\n{machine.said()[-3000:]}")
        time.sleep(0.5)
    lines = re.findall(r"PROVE (.*)", machine.said().replace("\r", ""))
    print("\n".join(f"  {line}" for line in lines[:-1]))
    faults = [line for line in lines if line.startswith("FAULT")]
    if faults or len([line for line in lines if line.startswith("ok")]) < 15:
        fail(f"inside: {faults or 'too few checks'}")


def prove_stop(machine):
    """The power button: readiness fails, answers go on and close, no request is lost, the machine goes off."""
    machine.press_power_button()
    start, answered, lost, not_ready = time.monotonic(), 0, 0, None
    while machine.process.poll() is None:
        if time.monotonic() - start > OFF_SECONDS:
            fail(f"still on {OFF_SECONDS} s after the power button:\n{machine.said()[-2000:]}")
        # A client that knows readiness leaves after the balancer's two checks; until then every request counts.
        in_grace = not_ready is None or time.monotonic() - not_ready < 12
        try:
            machine.get("/qrcode?type=encode&data=bye", timeout=10)
            answered += 1
        except (OSError, http.client.HTTPException):
            lost += in_grace
            if not in_grace:
                time.sleep(0.2)
        try:
            machine.get("/readyz", timeout=10)
        except urllib.error.HTTPError as error:
            if error.code == 503 and not_ready is None:
                not_ready = time.monotonic()
        except (OSError, http.client.HTTPException):
            pass
    took = time.monotonic() - start
    if not_ready is None or lost or answered < 5:
        fail(f"the stop: not ready {not_ready is not None}, {answered} answered, {lost} lost")
    print(f"  power button: not ready after {not_ready - start:.1f} s, {answered} answers since, 0 lost, off after {took:.0f} s")


def main():
    machine = Machine(*sys.argv[1:4])
    try:
        print(f"  serving {wait_until_serving(machine):.0f} s after power on")
        for path, wanted in ANSWERS.items():
            answer = machine.get(path)
            if not answer.startswith(wanted):
                fail(f"{path}: {answer[:200]}")
        print(f"  {len(ANSWERS)} endpoints answer correctly")
        prove_inside(machine)
        prove_stop(machine)
    finally:
        machine.close()


if __name__ == "__main__":
    main()
