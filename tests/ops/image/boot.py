"""Boots a baked disk and proves that it serves, is tuned, drains and powers off.

    boot.py DISK KERNEL INITRD BINARY

What runs inside comes on a second disk: a script that the base disk of scripts/test-image runs when it is there. BINARY
makes the store that the machine finds in a local S3.
"""
import http.client
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from local_aws import LocalAws
from machine import HOST, Machine

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "scripts"))
from lib.drop_ins import NO_FILTER  # noqa: E402  (the path above comes first)

# An emulated machine on a busy one is slow.
BOOT_SECONDS = 1800
# Attempts at a boot in which the emulator may fail (machine.py).
BOOTS = 2
OFF_SECONDS = 600
INSIDE_SECONDS = 3600
# What is asked inside, every kernel setting counted.
CHECKS = 64

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


def get(machine, path, timeout=10):
    with urllib.request.urlopen(f"http://127.0.0.1:{machine.http}{path}", timeout=timeout) as answer:
        return answer.read()


def wait_until_serving(machine):
    start, boots_left = time.monotonic(), BOOTS - 1
    while time.monotonic() - start < BOOT_SECONDS:
        if boots_left and machine.starts_again():
            boots_left -= 1
        if not machine.is_on():
            fail(f"the machine went off while booting:\n{machine.said()[-3000:]}")
        try:
            get(machine, "/readyz", timeout=3)
            return time.monotonic() - start
        except OSError:
            time.sleep(0.5)
        except http.client.HTTPException:
            time.sleep(0.5)
    fail(f"not serving after {BOOT_SECONDS} s:\n{machine.said()[-3000:]}")


def prove_inside(machine):
    """What prove.sh said on the console."""
    def told():
        return re.findall(r"PROVE (.*)", machine.said().replace("\r", ""))

    deadline = time.monotonic() + INSIDE_SECONDS
    while "PROVE done" not in machine.said():
        if time.monotonic() > deadline or not machine.is_on():
            last = "\n".join(told()[-5:])
            fail(f"the inside did not end; last it said\n{last}\nand the console\n{machine.said()[-20000:]}")
        time.sleep(0.5)
    lines = told()
    print("\n".join(f"  {line}" for line in lines[:-1]))
    faults = [line for line in lines if line.startswith("FAULT")]
    if faults or len([line for line in lines if line.startswith("ok")]) < CHECKS:
        fail(f"inside: {faults or 'too few checks'}")


def prove_stop(machine):
    """The power button: readiness fails, answers go on and close, no request is lost, the machine goes off."""
    machine.press_power_button()
    start, answered, lost, not_ready = time.monotonic(), 0, 0, None
    while machine.is_on():
        if time.monotonic() - start > OFF_SECONDS:
            fail(f"still on {OFF_SECONDS} s after the power button:\n{machine.said()[-2000:]}")
        # A client that knows readiness leaves after the balancer's two checks; until then every request counts.
        in_grace = not_ready is None or time.monotonic() - not_ready < 60
        try:
            get(machine, "/qrcode?type=encode&data=bye", timeout=10)
            answered += 1
        except (OSError, http.client.HTTPException):
            lost += in_grace
            if not in_grace:
                time.sleep(0.2)
        try:
            get(machine, "/readyz", timeout=10)
        except urllib.error.HTTPError as error:
            if error.code == 503 and not_ready is None:
                not_ready = time.monotonic()
        except (OSError, http.client.HTTPException):
            pass
    took = time.monotonic() - start
    if not_ready is None or lost or answered < 5:
        fail(f"the stop: not ready {not_ready is not None}, {answered} answered, {lost} lost")
    print(f"  power button: not ready after {not_ready - start:.1f} s, {answered} answers since, 0 lost, off after {took:.0f} s")


def prove_wrong_settings(machine):
    """An instance that cannot serve says why on its console and goes off."""
    start = time.monotonic()
    while machine.is_on():
        if time.monotonic() - start > BOOT_SECONDS:
            fail(f"an instance with wrong settings stays on:\n{machine.said()[-3000:]}")
        time.sleep(0.5)
    if "TRIDENT_WORKERS" not in machine.said():
        fail(f"the console does not name the wrong setting:\n{machine.said()[-3000:]}")
    print(f"  wrong settings: named on the console, off {time.monotonic() - start:.0f} s after power on")


INSTANCE = "twitter/instances/i-image.json"


def publish(aws, binary):
    """Publishes a store; its content."""
    aws.ask("s3", "create_bucket", Bucket="trident-image")
    store, tweets = aws.state / "store", aws.state / "tweets.jsonl"
    with open(tweets, "wb") as out:
        subprocess.run([binary, "gen", "tweets", "--lines", "3000", "--seed", "3"], stdout=out, check=True)
    subprocess.run([binary, "etl", "--input", tweets, "--output", store], capture_output=True, check=True)
    aws.run_script("publish-store", str(store), "s3://trident-image/twitter", "--no-wait", "--trident", binary)
    pointer = aws.ask("s3", "get_object", Bucket="trident-image", Key="twitter/pointer.json")
    return json.load(pointer["Body"])["content"]


def prove_report(aws, content):
    """What the machine wrote into S3 about itself."""
    told = json.load(aws.ask("s3", "get_object", Bucket="trident-image", Key=INSTANCE)["Body"])
    if told["content"] != content or told["failed"]:
        fail(f"the report of the machine: {told}, wanted {content}")
    print("  it reported to S3 what it serves")


def payload(directory, script, **given):
    """A disk with one script on it, and in prove.sh the features in their place, with what is `given` as variables."""
    disk = pathlib.Path(directory) / script
    variables = "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items())
    features = variables + (HERE / "features.sh").read_text()
    text = (HERE / script).read_text().replace("# @features@\n", features).encode()
    disk.write_bytes(text + b"\n" * (-len(text) % 512))
    return disk


def main():
    disk, kernel, initrd, binary = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as directory, LocalAws() as aws:
        content = publish(aws, str(pathlib.Path(binary).resolve()))
        endpoint = aws.url.replace("127.0.0.1", HOST)
        prove = payload(directory, "prove.sh", no_filter=NO_FILTER, endpoint=endpoint, content=content)
        with Machine(disk, kernel, initrd, prove, processors=2) as machine:
            print(f"  serving {wait_until_serving(machine):.0f} s after power on")
            for path, wanted in ANSWERS.items():
                answer = get(machine, path)
                if not answer.startswith(wanted):
                    fail(f"{path}: {answer[:200]}")
            print(f"  {len(ANSWERS)} endpoints answer correctly")
            prove_inside(machine)
            prove_report(aws, content)
            prove_stop(machine)
        with Machine(disk, kernel, initrd, payload(directory, "broken.sh")) as machine:
            prove_wrong_settings(machine)


if __name__ == "__main__":
    main()
