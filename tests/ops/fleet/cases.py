"""What is done to the fleet. Each case returns the time of the fault, or None where it is planned."""
import os
import resource
import signal
import time

from network import sh


def rest(fleet):
    """nothing"""
    time.sleep(2)


def roll(fleet):
    """roll all three by SIGTERM alone: each drains, is gone, another comes"""
    for instance in fleet.processes:
        fleet.stop(instance)
        fleet.replace(instance)


def roll_deregistered(fleet):
    """roll all three as the scaling group does: deregistered, unused, SIGTERM"""
    for instance in fleet.processes:
        fleet.leave(instance)
        fleet.replace(instance)


def two_at_once(fleet):
    """SIGTERM to two of three at once"""
    fleet.stop(2, 3)
    fleet.replace(2, 3)


def scale(fleet):
    """scale in 3 → 1, both at once, and out again"""
    fleet.leave(2, 3)
    fleet.replace(2, 3)


def reclaim(fleet, instance):
    """The provider takes an instance away; the group starts another."""
    fleet.network.cut(instance, True)
    fleet.processes[instance].kill()
    fleet.processes[instance].wait()
    fleet.replace(instance)


def spot(fleet):
    """spot: drained on the notice, cut off when it is over"""
    notice = time.monotonic()
    fleet.processes[2].send_signal(signal.SIGTERM)
    time.sleep(notice + fleet.times.notice - time.monotonic())
    reclaim(fleet, 2)


def spot_ignored(fleet):
    """spot, the notice not heeded"""
    at = time.monotonic()
    reclaim(fleet, 2)
    return at


def spot_deregistered(fleet):
    """spot: deregistered on the notice instead, cut off when it is over"""
    fleet.balancer.deregister(2)
    time.sleep(fleet.times.notice)
    at = time.monotonic()
    reclaim(fleet, 2)
    return at


def hasty(fleet):
    """SIGTERM, and a drain that ends before the balancer has acted"""
    fleet.stop(2)
    fleet.start(2, "drain.accept_ms=500", "drain.quiet_ms=0")
    fleet.balancer.set(2, "initial")
    fleet.balancer.wait(2, "healthy")
    fleet.stop(2)
    fleet.replace(2)


def reload(fleet):
    """reload all three (SIGHUP), ten times"""
    for _ in range(10):
        for instance in fleet.processes:
            os.kill(fleet.pid(instance), signal.SIGHUP)
        time.sleep(0.1)


def fill_disk(fleet):
    """fill the disk of instance 2, and make it log"""
    directory = fleet.log(2).parent
    fleet.stop(2)
    sh(f"mount -t tmpfs -o size=64k tmpfs {directory}")
    try:
        fleet.start(2, "log.level=trace")
        fleet.balancer.set(2, "initial")
        fleet.balancer.wait(2, "healthy")
        sh(f"head -c 1M /dev/zero > {directory}/full", check=False)
        for _ in range(20):
            os.kill(fleet.pid(2), signal.SIGHUP)
            time.sleep(0.1)
        fleet.stop(2)
    finally:
        sh(f"umount -l {directory}", check=False)
    fleet.replace(2)


def kill(fleet):
    """kill -9 instance 2; back after 1 s"""
    at = time.monotonic()
    fleet.processes[2].kill()
    fleet.processes[2].wait()
    time.sleep(1)
    fleet.start(2)
    time.sleep(0.5)
    fleet.balancer.wait(2, "healthy")
    return at


def freeze(fleet):
    """SIGSTOP instance 2 for 5 s, then what a watchdog does: kill, start"""
    at = time.monotonic()
    os.kill(fleet.pid(2), signal.SIGSTOP)
    fleet.balancer.wait(2, "unhealthy")
    time.sleep(3)
    fleet.processes[2].kill()
    fleet.processes[2].wait()
    fleet.start(2)
    fleet.balancer.wait(2, "healthy")
    return at


def cut_off(fleet):
    """cut instance 2 off the network for 4 s"""
    at = time.monotonic()
    fleet.network.cut(2, True)
    fleet.balancer.wait(2, "unhealthy")
    time.sleep(2)
    fleet.network.cut(2, False)
    fleet.balancer.wait(2, "healthy")
    return at


def zone(fleet):
    """cut two of three off the network for good (a zone), others after that"""
    at = time.monotonic()
    for instance in (2, 3):
        fleet.network.cut(instance, True)
        fleet.processes[instance].kill()
        fleet.processes[instance].wait()
    for instance in (2, 3):
        fleet.balancer.wait(instance, "unhealthy")
    fleet.replace(2, 3)
    return at


def slow(fleet):
    """slow instance 2: stopped 100 ms of every 150 for 4 s"""
    at = time.monotonic()
    while time.monotonic() < at + 4:
        os.kill(fleet.pid(2), signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(fleet.pid(2), signal.SIGCONT)
        time.sleep(0.05)
    return at


def fill_descriptors(fleet):
    """fill the descriptor table of instance 2 for 4 s"""
    at = time.monotonic()
    pid = fleet.pid(2)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limits[1]))
    time.sleep(4)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    fleet.balancer.wait(2, "healthy")
    return at


# These must lose requests.
HARSH = [hasty]
# Instances that leave take time; what else is done is done to a fleet of its own meanwhile.
LEAVING = [*HARSH, rest, roll, roll_deregistered, two_at_once, scale, spot]
OTHERS = [reload, fill_disk, kill, freeze, cut_off, zone, spot_ignored, spot_deregistered, slow, fill_descriptors]
ALL = [*LEAVING, *OTHERS]
# With the real delays: what they are about.
REAL = [roll, roll_deregistered, spot]
