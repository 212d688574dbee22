#!/usr/bin/env python3
"""What scripts/deploy makes of --set and --unset: the parameters of the stack, checked, as JSON for the AWS CLI.

    parameters.py --known JSON [--offline] [--trident FILE] [--unset KEY]... NAME=VALUE...
    parameters.py --known JSON --moved        # which secrets have a newer version than the stack says

Not called by hand. Names are checked against ami/stack.yaml; `server.KEY=VALUE` against the binary's own table, by
`trident check-config`. A secret is given as `server.KEY=ssm:/NAME` and pinned to the parameter's present version, so that a
new version is a change. Exit codes: 0 good, 1 a parameter of SSM is missing, 64 wrong, 69 no binary to ask.
"""
import argparse
import difflib
import json
import os
import pathlib
import re
import subprocess
import sys

import environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Settings that have a parameter of their own, or that the image decides.
ELSEWHERE = {
    "team.name": "use --set TeamName=…", "team.aws_account": "use --set TeamAwsAccount=…",
    "auth.key": "use --set AuthKeyParameter=/NAME", "auth.key_file": "use --set AuthKeyParameter=/NAME",
    "listen": "the sockets of systemd decide it", "admin": "the sockets of systemd decide it",
}
# CloudFormation's longest value of a parameter.
VALUE_BYTES_MAX = 4096
SECRET = "ssm:"


def fail(code, message):
    print(f"deploy: {message}", file=sys.stderr)
    sys.exit(code)


def nearest(name, names):
    found = difflib.get_close_matches(name.lower(), [one.lower() for one in names], 1, 0.5)
    close = [one for one in names if found and one.lower() == found[0]]
    return f"; did you mean {close[0]}?" if close else ""


# --- the stack's own parameters ---------------------------------------------------------------------------------


def template_parameters():
    """{name: block of text} of the template's parameters, without a YAML parser on the operator's machine."""
    text = (ROOT / "ami/stack.yaml").read_text()
    section = re.search(r"(?ms)^Parameters:\n(.*?)^\S", text)[1]
    return {name: block for name, block in re.findall(r"(?ms)^  (\w+):\n(.*?)(?=^  \w|\Z)", section)}


def check_parameter(name, value, known):
    if name not in known:
        fail(64, f"no parameter is called {name}{nearest(name, known)}")
    allowed = re.search(r"AllowedValues: \[(.*)\]", known[name])
    values = [one.strip(' "') for one in allowed[1].split(",")] if allowed else []
    if values and value not in values:
        fail(64, f"{name} is one of {', '.join(values)}, not {value}")
    if "Type: Number" in known[name]:
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            fail(64, f"{name} is a number, not {value}")
        for limit, wrong in (("MinValue", lambda v, m: v < m), ("MaxValue", lambda v, m: v > m)):
            bound = re.search(rf"{limit}: (\S+)", known[name])
            if bound and wrong(float(value), float(bound[1])):
                fail(64, f"{name} has {limit} {bound[1]}, not {value}")


# --- the server's settings --------------------------------------------------------------------------------------


def find_binary(named):
    for path in [named] if named else [ROOT / f"target/{place}/trident" for place in ("bake", "release", "checked")]:
        if path and os.access(path, os.X_OK):
            return str(path)
    fail(69, "server settings are checked by the binary: build it (cargo build --release), or name one with --trident FILE")


def ask_binary(binary, settings):
    """(answer of check-config, its errors) with these variables and nothing else of this machine."""
    run = subprocess.run([binary, "check-config", "--json", "--config", os.devnull], env=environment.without_settings() | settings,
                         capture_output=True, text=True, check=False)
    errors = [line.removeprefix("trident: ") for line in run.stderr.splitlines() if "trident: warning" not in line]
    return (json.loads(run.stdout) if run.returncode == 0 else None), errors


class Settings:
    """Variables of the server, and secrets as {variable: "/name:version"}."""

    def __init__(self, stack, options):
        self.options = options
        self.plain = dict(line.split("=", 1) for line in stack.get("ServerSettings", "").splitlines() if line)
        self.secret = dict(one.split("=", 1) for one in stack.get("Secrets", "").split())
        self.table = None

    def known(self):
        if self.table is None:
            self.binary = find_binary(self.options.trident)
            told, errors = ask_binary(self.binary, {})
            if told is None:
                fail(69, f"{self.binary} check-config fails: {' '.join(errors)}")
            self.table = {one["key"]: one for one in told["settings"]}
        return self.table

    def variable(self, key):
        if key in ELSEWHERE:
            fail(64, f"server.{key}: {ELSEWHERE[key]}")
        if key not in self.known():
            fail(64, f"the server has no setting {key}{nearest(key, self.table)}")
        return self.table[key]["environment"]

    def put(self, key, value):
        name = self.variable(key)
        self.take(name)
        if value.startswith(SECRET):
            self.secret[name] = value.removeprefix(SECRET)
        elif not value.isprintable():
            fail(64, f"server.{key}: a value is one line of printable characters")
        else:
            self.plain[name] = value

    def take(self, name):
        self.plain.pop(name, None)
        self.secret.pop(name, None)

    def check(self):
        """All of them together, and with what the unit and the balancer count on."""
        told, errors = ask_binary(self.binary, self.plain)
        if told is None:
            fail(64, "the server refuses these settings: " + "; ".join(errors))
        for one in told["settings"]:
            # The binary hides secrets, and passwords within addresses.
            if one["environment"] in self.plain and ("set" in one or "***" in str(one["value"])):
                fail(64, f"server.{one['key']} is a secret, which everybody could read in the stack: put it into the Parameter "
                         f"Store (aws ssm put-parameter --type SecureString) and give server.{one['key']}=ssm:/NAME")
        value = {one["key"]: one["value"] for one in told["settings"]}
        unit = (ROOT / "systemd/trident.service").read_text()
        stop = int(re.search(r"(?m)^TimeoutStopSec=(\d+)s", unit)[1])
        if value["drain.deadline_ms"] >= stop * 1000:
            fail(64, f"drain.deadline_ms: the unit ends a drain after {stop} s (TimeoutStopSec)")
        idle = int(re.search(r'tcp\.idle_timeout\.seconds, Value: "(\d+)"', (ROOT / "ami/stack.yaml").read_text())[1])
        if value["http.idle_timeout_ms"] >= idle * 1000:
            fail(64, f"http.idle_timeout_ms: the balancer forgets connections after {idle} s")


# --- secrets ----------------------------------------------------------------------------------------------------


def present_version(name, offline):
    """`/name:version` with the version the Parameter Store has now."""
    bare = name.partition(":")[0]
    if not re.fullmatch(r"/[A-Za-z0-9_./-]+", bare):
        fail(64, f"{name}: a secret's name begins with / and has letters, digits and . _ - / only")
    if offline:
        return bare
    run = subprocess.run(["aws", "ssm", "get-parameter", "--name", bare, "--output", "text", "--query", "Parameter.Version"],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        missing = "ParameterNotFound" in run.stderr
        fail(1, f"there is no parameter {bare}: make it with aws ssm put-parameter --type SecureString" if missing
             else f"cannot look at {bare}: {run.stderr.strip()}")
    return f"{bare}:{run.stdout.strip()}"


def pinned(settings, stack, offline):
    secrets = {variable: present_version(name, offline) for variable, name in settings.secret.items()}
    folder = stack["SecretFolder"]
    for name in secrets.values():
        if not name.startswith(f"{folder}/"):
            fail(64, f"{name}: instances may read secrets below {folder}/ only; see SecretFolder")
    return secrets


def moved(stack):
    """Secrets that have another version now than the instances were told."""
    names = [one.split("=", 1)[1] for one in stack.get("Secrets", "").split()]
    names += [stack["AuthKeyParameter"]] if stack.get("AuthKeyParameter") else []
    for name in names:
        now = present_version(name, False)
        if now != name:
            print(f"{name} is now {now}")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--known", default="{}", help="parameters the stack has, a JSON object")
    parser.add_argument("--offline", action="store_true", help="look at no account: versions of secrets stay open")
    parser.add_argument("--moved", action="store_true", help="only print secrets with a newer version")
    parser.add_argument("--trident", help="binary to ask")
    parser.add_argument("--unset", action="append", default=[], help="setting to take out")
    parser.add_argument("given", nargs="*", help="NAME=VALUE or server.KEY=VALUE")
    return parser.parse_args()


def apply(given, unset, stack, settings, template):
    """Puts what was given into the stack's parameters and the server's settings; names of the first."""
    touched = set()
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            fail(64, f"--set needs NAME=VALUE, not {one}")
        if name.startswith("server."):
            settings.put(name.removeprefix("server."), value)
        elif name in ("ServerSettings", "Secrets"):
            fail(64, f"{name} is made of --set server.KEY=VALUE")
        else:
            check_parameter(name, value, template)
            stack[name] = value
            touched.add(name)
    for key in unset:
        settings.take(settings.variable(key.removeprefix("server.")))
    if settings.table is not None:
        settings.check()
    return touched


def write(stack, settings, offline):
    """Settings and secrets as values of the stack's parameters."""
    secrets = pinned(settings, stack, offline)
    stack["ServerSettings"] = "\n".join(f"{name}={value}" for name, value in sorted(settings.plain.items()))
    stack["Secrets"] = " ".join(f"{variable}={name}" for variable, name in sorted(secrets.items()))
    if stack["AuthKeyParameter"]:
        stack["AuthKeyParameter"] = present_version(stack["AuthKeyParameter"], offline)
    for name in ("ServerSettings", "Secrets"):
        if len(stack[name].encode()) > VALUE_BYTES_MAX:
            fail(64, f"{name} would have more than {VALUE_BYTES_MAX} bytes: bake the settings into /etc/trident/trident.toml")
    return {"ServerSettings", "Secrets", "AuthKeyParameter"}


def main():
    asked = options()
    before = json.loads(asked.known)
    if asked.moved:
        moved(before)
        return
    template = template_parameters()
    defaults = {name: (re.search(r'(?m)^    Default: "?(.*?)"?$', block) or [None, ""])[1] for name, block in template.items()}
    stack = defaults | {name: value for name, value in before.items() if name in template}
    settings = Settings(stack, asked)
    stated = apply(asked.given, asked.unset, stack, settings, template) | write(stack, settings, asked.offline)
    out = []
    for name in template:
        if name in stated:
            out.append({"ParameterKey": name, "ParameterValue": stack[name]})
        elif name in before:
            out.append({"ParameterKey": name, "UsePreviousValue": True})
    print(json.dumps(out))


if __name__ == "__main__":
    main()
