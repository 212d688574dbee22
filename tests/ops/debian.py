"""A Debian in a directory that is reached over SSH as a machine would be: processes, mounts and network of its own.

    debian.py DIRECTORY DESCRIPTOR    # what `Debian` starts: the first process of it, DESCRIPTOR is the listening socket

It is no machine: nothing boots, and no systemd runs. What is installed into it runs at this machine's speed.
"""
import os
import pathlib
import socket
import subprocess
import sys

# Nothing of this machine's environment.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# One of each connection. Without PAM, which would ask for what only a booted system has.
SSHD = ("/usr/sbin/sshd", "-i", "-e", "-o", "UsePAM=no")


class Debian:
    """Its port `ssh` of 127.0.0.1 leads to it until the end of the block. Needs root."""

    def __init__(self, directory):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.ssh = listener.getsockname()[1]
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net", "--",
                 sys.executable, __file__, directory, str(listener.fileno())],
                pass_fds=[listener.fileno()],
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def main():
    directory, listener = pathlib.Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    listener.set_inheritable(False)
    subprocess.run(["mount", "-t", "proc", "proc", directory / "proc"], check=True)
    subprocess.run(["mount", "--bind", "/dev", directory / "dev"], check=True)
    # Not through the root's own program: it may lack one.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.chroot(directory)
    os.chdir("/")
    socket.sethostname(pathlib.Path("/etc/hostname").read_text().strip())
    os.makedirs("/run/sshd", exist_ok=True)
    subprocess.run(["/usr/bin/ssh-keygen", "-q", "-A"], check=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            for descriptor in (0, 1):
                os.dup2(connection.fileno(), descriptor)
            os.execve(SSHD[0], SSHD, {"PATH": PATH})
        connection.close()
        reap()


def reap():
    """Whoever has ended: the first process is everybody's parent at last."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
