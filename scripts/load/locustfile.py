"""The three endpoints for Locust; see README.md beside this file.

    CORPUS=corpus.jsonl locust -f scripts/load/locustfile.py --headless -u 50 -t 30s -H http://127.0.0.1:8080
"""
import base64
import json
import os
import random
import zlib

from locust import FastHttpUser, constant, task

FIRST_LINE = os.environ.get("TEAM", "TEAMID,000000000000")


def read_corpus(path):
    by_endpoint = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            by_endpoint.setdefault(entry["endpoint"], []).append(entry)
    return by_endpoint


CORPUS = read_corpus(os.environ.get("CORPUS", "corpus.jsonl"))


def unpacked(text):
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(text)))


def fault(entry, answer):
    """What is wrong with an answer; None if nothing is."""
    expect = entry["expect"]
    if answer.status_code != expect.get("status", 200):
        return f"status {answer.status_code}"
    first, _, result = (answer.content or b"").decode("utf-8").partition("\n")
    if first != FIRST_LINE:
        return "first line"
    if "result" in expect and result != expect["result"]:
        return "result"
    if "chain" in expect and unpacked(result) != unpacked(expect["chain"]):
        return "chain"
    return None


class User(FastHttpUser):
    """Asks again as soon as the answer is there."""

    wait_time = constant(0)

    def ask(self, endpoint):
        entries = CORPUS.get(endpoint)
        if not entries:
            return
        entry = random.choice(entries)
        body = entry.get("body")
        with self.client.request(entry["method"], entry["target"], data=body, name=f"/{endpoint}", catch_response=True) as answer:
            wrong = fault(entry, answer)
            if wrong:
                answer.failure(wrong)

    @task
    def blockchain(self):
        self.ask("blockchain")

    @task
    def qrcode(self):
        self.ask("qrcode")

    @task
    def twitter(self):
        self.ask("twitter")
