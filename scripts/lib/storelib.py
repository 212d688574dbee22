#!/usr/bin/env python3
"""What scripts/publish-store makes and reads: manifests, pointers, queries, reports of instances. Not called by hand.

    storelib.py manifest STORE QUERIES                    # the text whose SHA-256 is the name of the content
    storelib.py pointer FILE publish CONTENT              # the pointer, moved
    storelib.py pointer FILE canary CONTENT INSTANCE
    storelib.py pointer FILE end-canary | back | content
    storelib.py queries BINARY STORE                      # some users of the store, asked of a server of our own
    storelib.py check-queries FILE                        # those of /twitter in a corpus
    storelib.py reports DIRECTORY CONTENT|- INSTANCE...   # exit code 0: all serve it, 1: not yet, 2: one cannot

ami/rootfs/usr/lib/trident/store reads the first two. Exit codes: 0 done, 1 failed, 64 wrong.
"""
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse

import environment

FILES = ("data.mdb", "history.mdb", "seal.json")
QUERIES = 100
# Most lines of a store's dump that are searched for users: a large store has many, and one is as good as another.
DUMP_LINES_MAX = 20_000
QUERIES_MAX = 10_000
CONTENT = re.compile(r"[0-9a-f]{64}")


def fail(code, message):
    print(f"publish-store: {message}", file=sys.stderr)
    sys.exit(code)


def measure(path):
    digest, length = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            length += len(chunk)
    return {"bytes": length, "sha256": digest.hexdigest()}


def manifest(store, queries):
    files = {name: measure(pathlib.Path(store) / name) for name in FILES if (pathlib.Path(store) / name).exists()}
    files["queries.jsonl"] = measure(queries)
    print(json.dumps({"files": files}, sort_keys=True))


# --- the pointer --------------------------------------------------------------------------------------------------


def pointer(path, verb, content=None, instance=None):
    """The pointer after a move: `content` for all, `previous` to go back to, `canary` for one instance."""
    text = pathlib.Path(path).read_text()
    try:
        now = json.loads(text)
        damaged = not all(CONTENT.fullmatch(now[key]) for key in ("content", "previous") if now.get(key))
    except (ValueError, TypeError, AttributeError):
        damaged = True
    if damaged:
        if verb != "publish":
            fail(1, f"the pointer is damaged, publish a store to replace it: {text[:200]!r}")
        now = {}
    if verb == "content":
        print(now.get("content", ""))
        return
    canary = now.pop("canary", None)
    if verb == "canary":
        if "content" not in now:
            fail(1, "nothing is published yet: there is nothing a canary could differ from")
        now["canary"] = {"content": content, "instance": instance}
    elif verb == "publish" and content != now.get("content"):
        now = {"content": content} | ({"previous": now["content"]} if "content" in now else {})
    elif verb == "back" and not canary:
        if "previous" not in now:
            fail(1, "there is nothing before what the pointer names")
        now = {"content": now["previous"], "previous": now["content"]}
    print(json.dumps(now, sort_keys=True))


# --- queries ------------------------------------------------------------------------------------------------------


def check_queries(path):
    """Those of /twitter that ask by GET and have one right answer."""
    found = []
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                one = json.loads(line)
                target, method, expect = one["target"], one.get("method", "GET"), one["expect"]
            except (ValueError, KeyError, TypeError):
                fail(64, f"{path}, line {number}: not a request with its answer; scripts/make-corpus shows the form")
            if target.startswith("/twitter?") and method == "GET" and "result" in expect:
                found.append({"target": target, "expect": {"result": expect["result"]}})
    if not found or len(found) > QUERIES_MAX:
        fail(64, f"{path} has {len(found)} queries of /twitter, 1 to {QUERIES_MAX} are wanted")
    write_queries(found)


def write_queries(queries):
    for one in queries:
        print(json.dumps(one))


def targets(binary, store):
    """Queries that find something: users of the store, a word of what they and a contact wrote, a hashtag."""
    found = []
    with subprocess.Popen([binary, "store", "dump", store], stdout=subprocess.PIPE, text=True, encoding="utf-8") as dump:
        for number, line in enumerate(dump.stdout):
            if number == DUMP_LINES_MAX:
                break
            user = json.loads(line)
            tweets = [tweet for contact in user["contacts"] for tweet in contact["tweets"]]
            if tweets:
                found.append((user["user_id"], tweets[number % len(tweets)]))
        dump.kill()
    step = max(len(found) // QUERIES, 1)
    for number, (user, tweet) in enumerate(found[::step][:QUERIES]):
        phrase = max(tweet["text"].split() or ["a"], key=len)
        hashtag = tweet["tags"][0] if tweet["tags"] else "none"
        fields = {"user_id": user, "type": ("both", "reply", "retweet")[number % 3], "phrase": phrase, "hashtag": hashtag}
        yield "/twitter?" + urllib.parse.urlencode(fields, quote_via=urllib.parse.quote)


def queries(binary, store):
    """The answers of a server on this machine that has the store as it is here."""
    with tempfile.TemporaryDirectory() as cache:
        server = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--admin", "off", "--workers", "1", "--twitter-store", store,
             "--config", os.devnull, "--set", "drain.accept_ms=0", "--set", "drain.quiet_ms=0"],
            env=environment.without_settings() | {"CACHE_DIRECTORY": cache}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            print_answers(server, list(targets(binary, store)))
        finally:
            server.kill()
            server.wait()


def print_answers(server, asked):
    said = []
    for line in server.stdout:
        said.append(line)
        if port := re.search(r"127\.0\.0\.1:(\d+)", line):
            break
    else:
        fail(1, f"no server for the queries: {''.join(said)}")
    connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=30)
    found = []
    for target in asked:
        connection.request("GET", target)
        answer = connection.getresponse()
        result = answer.read().decode().partition("\n")[2]
        if answer.status != 200:
            fail(1, f"status {answer.status} for {target}")
        found.append({"target": target, "expect": {"result": result}})
    write_queries(found)


# --- instances ----------------------------------------------------------------------------------------------------


def reports(directory, content, *instances):
    """Tells what each instance serves; the exit code is for `content`."""
    behind, failed = 0, 0
    for instance in instances:
        try:
            told = json.loads((pathlib.Path(directory) / f"{instance}.report").read_text())
            serves, why, asked, refused = (told[key] for key in ("content", "failed", "asked", "refused"))
        except (OSError, ValueError, KeyError, TypeError):
            serves, why, asked, refused = None, "no report yet", None, None
        is_there = serves == content == asked and not why
        behind += not is_there
        failed += refused == content
        print(f"{instance} serves {(serves or 'nothing')[:12]}{': ' + why if why else ''}")
    return 0 if not behind else 2 if failed else 1


def main():
    verbs = {"manifest": manifest, "pointer": pointer, "queries": queries, "check-queries": check_queries, "reports": reports}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs:
        fail(64, __doc__)
    return verbs[sys.argv[1]](*sys.argv[2:]) or 0


if __name__ == "__main__":
    sys.exit(main())
