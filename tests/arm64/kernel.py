#!/usr/bin/env python3
"""Runs a script on a real arm64 kernel in an emulated machine (QEMU, TCG).

    tests/arm64/kernel.py --kernel FILE --machine DIR --tools DIR FILE... <script

The machine has no disk and no network but loopback: its root is in memory and has a shell (busybox), the C library and the
FILEs, each at its own path. It is off when the script has ended, or after --minutes.
Exit codes: the script's; 1 also if the machine ends without having told one.
"""
import argparse
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

PROCESSORS, MEGABYTES = 2, 3072
# A processor of the second Graviton, which has no pointer authentication: that takes most of an emulator's time.
PROCESSOR = "neoverse-n1"
LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1")
END = re.compile(rb"^the script ended with (\d+)", re.MULTILINE)
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
ip link set lo up
ulimit -n 65536
echo "Linux $(uname -r) $(uname -m), pages of $(awk '/^KernelPageSize/ { print $2; exit }' /proc/self/smaps) KiB"
sh /script
echo "the script ended with $?"
poweroff -f
"""


class Archive:
    """A cpio archive of the form `newc`, which a kernel unpacks as its first root."""

    def __init__(self, file):
        self.file, self.count, self.known = file, 0, set()

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.count += 1
        path = name.encode() + b"\0"
        fields = (self.count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self._padded(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
        self._padded(content)

    def _padded(self, content):
        self.file.write(content + b"\0" * (-len(content) % 4))

    def directory(self, path):
        for parent in reversed([path, *path.parents]):
            name = str(parent).lstrip("/")
            if name and name not in self.known:
                self.known.add(name)
                self.add(name, stat.S_IFDIR | 0o755)

    def program(self, path, content, mode=0o755):
        self.directory(path.parent)
        self.add(str(path).lstrip("/"), stat.S_IFREG | mode, content)

    def end(self):
        self.add("TRAILER!!!", 0)


def stripped(tools, file, place):
    """The file without what debuggers read: most of a test's bytes."""
    copy = place / "stripped"
    if subprocess.run([tools / "run/aarch64-linux-gnu-objcopy", "--strip-debug", file, copy], stderr=subprocess.DEVNULL).returncode:
        return file.read_bytes()  # no program
    return copy.read_bytes()


def write_root(archive, args, script, place):
    for name in ("proc", "sys", "dev", "tmp", "bin"):
        archive.directory(pathlib.Path("/") / name)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.program(pathlib.Path("/init"), INIT.encode())
    archive.program(pathlib.Path("/script"), script)
    archive.program(pathlib.Path("/bin/busybox"), (args.machine / "bin/busybox").read_bytes())
    for name in LIBRARIES:
        archive.program(pathlib.Path("/lib") / name, (args.tools / "usr/aarch64-linux-gnu/lib" / name).read_bytes())
    for file in args.files:
        archive.program(file.resolve(), stripped(args.tools, file, place), stat.S_IMODE(file.stat().st_mode))
    archive.end()


def boot(args, initrd):
    """What the machine said, while it is said."""
    command = [
        args.machine / "run/qemu-system-aarch64", "-machine", "virt", "-cpu", PROCESSOR, "-accel", "tcg,thread=multi",
        "-smp", str(PROCESSORS), "-m", str(MEGABYTES), "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", args.kernel, "-initrd", initrd, "-append", "console=ttyAMA0 quiet panic=-1",
    ]
    said = b""
    machine = subprocess.Popen(["timeout", f"{args.minutes}m", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    while part := machine.stdout.read1():
        said += part
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    machine.wait()
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", type=pathlib.Path, required=True, help="an arm64 kernel")
    parser.add_argument("--machine", type=pathlib.Path, required=True, help="what `scripts/cross --machine` prints")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="what `scripts/cross --tools` prints")
    parser.add_argument("--minutes", type=int, default=15, help="the machine is switched off after them (default 15)")
    parser.add_argument("files", type=pathlib.Path, nargs="*", help="files that the script needs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        initrd = pathlib.Path(place) / "initrd"
        with open(initrd, "wb") as file:
            write_root(Archive(file), args, sys.stdin.buffer.read(), pathlib.Path(place))
        told = END.search(boot(args, initrd))
    return int(told[1]) if told else 1


if __name__ == "__main__":
    sys.exit(main())
