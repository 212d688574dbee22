#!/usr/bin/env python3
"""Asks two servers the same; every answer must be the same, byte for byte, but for its Date.

    same_answers.py COUNT SEED HOST:PORT HOST:PORT

Requests: COUNT of tests/oracle/cases.py, and those of benches/data. The first server is this machine's build, whose
answers other tests compare with the oracle. Exit codes: 0 the same, 1 not.
"""
import http.client
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
ANSWER_TIME_S = 60  # an emulated server on a busy machine


def requests(count, seed):
    """(method, target, body) of every request."""
    for file in sorted((ROOT / "benches/data").glob("*.txt")):
        for line in file.read_text(encoding="latin-1").splitlines():
            yield "GET", line.split("\t")[0], None
    key = subprocess.run([sys.executable, ROOT / "tests/oracle/cases.py", str(count), seed, "00" * 32],
                         capture_output=True, text=True, check=True)
    for line in key.stdout.splitlines():
        case = json.loads(line)
        body = case.get("body")
        yield case["method"], case["target"], None if body is None else body.encode("latin-1")


class Server:
    """One server, on one connection as long as it lasts."""

    def __init__(self, address):
        self.address = address
        self.connection = http.client.HTTPConnection(address, timeout=ANSWER_TIME_S)

    def ask(self, method, target, body):
        # What a client library would not send is sent as it is: raw bytes of a target.
        self.connection.putrequest(method, "/", skip_accept_encoding=True)
        line = self.connection._buffer[0]  # noqa: SLF001 (a target of any bytes)
        self.connection._buffer[0] = line.replace(b" / ", b" " + target.encode("latin-1") + b" ")
        if body is not None:
            self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body)
        answer = self.connection.getresponse()
        fields = [(name, value) for name, value in answer.getheaders() if name.lower() != "date"]
        return answer.status, fields, answer.read()


def main():
    count, seed, *addresses = sys.argv[1:]
    servers = [Server(address) for address in addresses]
    asked = valid = 0
    for method, target, body in requests(int(count), seed):
        ours, theirs = (server.ask(method, target, body) for server in servers)
        if ours != theirs:
            print(f"{method} {target[:2000]}\n  {addresses[0]}: {ours}\n  {addresses[1]}: {theirs}", file=sys.stderr)
            sys.exit(1)
        asked += 1
        valid += ours[0] == 200 and not ours[2].endswith(b"INVALID")
    if asked < int(count) or valid < asked // 3 or not re.fullmatch(r"\d+", count):
        sys.exit(f"only {asked} requests, {valid} of them valid: nothing is proven")
    print(f"{asked} answers are the same, {valid} of them to valid requests")


if __name__ == "__main__":
    main()
