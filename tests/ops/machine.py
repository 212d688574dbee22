"""An emulated machine: a disk, its console, its control socket, two of its ports on this one.

Emulated throughout (TCG): a /dev/kvm that exists may not work, and nothing here measures speed.
"""
import json
import pathlib
import socket
import subprocess
import tempfile

HTTP_PORT = 8080
SSH_PORT = 22
# This machine as the emulated one sees it.
HOST = "10.0.2.2"

# What boots a disk without a boot loader of its own, followed by the kernel and its initial file system.
# Without what the kernel does against faults that an emulated processor does not have, and with time: beside other work, systemd
# has waited 90 s in vain for units that a real machine starts in a moment.
COMMAND_LINE = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=1 mitigations=off"
    " systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900"
)
# All that the emulator knows but a fifth level of page tables, which every access would walk.
PROCESSOR = "max,la57=off"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    """A running QEMU on a disk that is left as it is; `payload` is a second disk.

    One thread emulates all processors, in turn: the machine takes one processor of this one's, and less time of it.
    """

    def __init__(self, disk, kernel, initrd, payload=None, processors=1):
        self.directory = tempfile.TemporaryDirectory()
        place = pathlib.Path(self.directory.name)
        self.console, self.qmp = place / "console", place / "qmp"
        self.http, self.ssh = free_port(), free_port()
        forwards = f"hostfwd=tcp:127.0.0.1:{self.http}-:{HTTP_PORT},hostfwd=tcp:127.0.0.1:{self.ssh}-:{SSH_PORT}"
        form = "qcow2" if str(disk).endswith(".qcow2") else "raw"
        self.command = [
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=single", "-cpu", PROCESSOR, "-smp", str(processors), "-m", "1024",
            "-nodefaults", "-display", "none", "-no-reboot",
            "-kernel", kernel, "-initrd", initrd, "-append", COMMAND_LINE,
            "-drive", f"file={disk},if=virtio,format={form},snapshot=on",
            "-netdev", f"user,id=n,{forwards}", "-device", "virtio-net-pci,netdev=n", "-device", "virtio-rng-pci",
            "-serial", f"file:{self.console}", "-qmp", f"unix:{self.qmp},server=on,wait=off",
        ]
        if payload:
            self.command += ["-drive", f"file={payload},if=virtio,format=raw,readonly=on"]
        self.process = subprocess.Popen(self.command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    def is_on(self):
        return self.process.poll() is None

    def starts_again(self):
        """Whether it went off because its kernel panicked, and was started again.

        An emulated processor now and then runs an instruction that another one has half replaced: the kernel patches its
        own branches while it boots. A real processor does not. Only before anything of ours runs, so that it hides no
        fault of ours.
        """
        said = self.said()
        if self.is_on() or "Kernel panic" not in said or "trident" in said:
            return False
        print(f"  the emulated kernel panicked, started again:\n{said[-1500:]}")
        self.process = subprocess.Popen(self.command)
        return True

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def press_power_button(self):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.qmp))
            for command in ("qmp_capabilities", "system_powerdown"):
                control.recv(65536)
                control.sendall(json.dumps({"execute": command}).encode() + b"\n")
            control.recv(65536)
