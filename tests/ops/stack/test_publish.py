"""scripts/publish-store with the real AWS CLI, against a local S3: what it writes, and what it does not.

One store for all tests; a call of the CLI takes a second. The way to the instances: test_store.py, scripts/test-fleet.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import skipping
from local_aws import SCRIPTS, LocalAws

ROOT = SCRIPTS.parent
URL = "s3://trident-data/twitter"
BINARIES = [ROOT / f"target/{place}/trident" for place in ("bake", "release", "checked")]


class Pointer(unittest.TestCase):
    """The moves, without S3."""

    A, B, C = ("a" * 64, "b" * 64, "c" * 64)

    def move(self, text, *arguments, code=0):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            run = subprocess.run([sys.executable, str(SCRIPTS / "lib/storelib.py"), "pointer", file.name, *arguments],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, code, run.stderr)
        return run.stdout

    def test_moves(self):
        one = self.move("{}", "publish", self.A)
        self.assertEqual(json.loads(one), {"content": self.A})
        self.move(one, "back", code=1)
        two = self.move(one, "publish", self.B)
        self.assertEqual(json.loads(two), {"content": self.B, "previous": self.A})
        self.assertEqual(json.loads(self.move(two, "publish", self.B)), json.loads(two), "again changes nothing")
        self.assertEqual(json.loads(self.move(two, "back")), {"content": self.A, "previous": self.B})
        canary = self.move(two, "canary", self.C, "i-1")
        self.assertEqual(json.loads(canary), json.loads(two) | {"canary": {"content": self.C, "instance": "i-1"}})
        self.assertEqual(json.loads(self.move(canary, "back")), json.loads(two), "back ends a canary")
        self.assertEqual(json.loads(self.move(canary, "publish", self.C)), {"content": self.C, "previous": self.B})
        self.move("{}", "canary", self.C, "i-1", code=1)

    def test_a_damaged_pointer_is_only_replaced(self):
        for text in ("", "[]", "null", '{"content": 7}', '{"content": "../x"}', '{"content": "' + self.A + '", "previous": "x"}'):
            with self.subTest(text):
                self.assertEqual(json.loads(self.move(text, "publish", self.A)), {"content": self.A})
                self.move(text, "back", code=1)


class Publish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.binary = next((path for path in BINARIES if path.exists()), None)
        if cls.binary is None:
            skipping.skip("binary", "no binary: scripts/bake, or cargo build, makes one")
        cls.local = LocalAws()
        cls.addClassCleanup(cls.local.close)
        cls.store = cls.local.state / "store"
        subprocess.run([cls.binary, "etl", "--input", ROOT / "data/sample-tweets.jsonl.gz", "--output", cls.store, "--workers", "1"],
                       check=True, capture_output=True)
        cls.local.ask("s3", "create_bucket", Bucket="trident-data")

    def publish(self, *arguments, code=0):
        return self.local.run_script("publish-store", URL, "--trident", str(self.binary), *arguments, code=code)

    def names(self):
        told = self.local.ask("s3", "list_objects_v2", Bucket="trident-data").get("Contents", [])
        return {one["Key"].removeprefix("twitter/"): one["LastModified"] for one in told}

    def test_what_is_published_can_be_followed(self):
        self.publish(str(self.store), "--dry-run")
        self.assertEqual(self.names(), {}, "a dry run writes nothing")
        said = self.publish(str(self.store), "--no-wait")
        content = said.split("content ")[1].split()[0]
        files = {f"stores/{content}/{name}" for name in ("data.mdb.zst", "seal.json.zst", "queries.jsonl.zst", "manifest.json")}
        before = self.names()
        self.assertEqual(set(before), files | {"pointer.json"})
        self.assertIn("there already", self.publish(str(self.store), "--no-wait"))
        again = self.names()
        self.assertEqual({name: again[name] for name in files}, {name: before[name] for name in files}, "uploaded once")

        root = self.local.state / "root"
        (root / "usr/bin").mkdir(parents=True)
        (root / "usr/bin/trident").symlink_to(self.binary)
        run = subprocess.run(
            [sys.executable, str(ROOT / "ami/rootfs/usr/lib/trident/store"), "--boot"], capture_output=True, text=True, check=False,
            env=self.local.environment | {"ROOT": str(root), "STORE_URL": URL, "REGION": "us-east-1", "INSTANCE": "i-1"})
        self.assertEqual(run.returncode, 0, run.stderr)
        fetched = root / "var/lib/trident-stores/current"
        self.assertEqual((fetched / "data.mdb").read_bytes(), (self.store / "data.mdb").read_bytes())

    def test_what_is_no_store_is_not_published(self):
        empty = pathlib.Path(tempfile.mkdtemp(dir=self.local.state))
        before = self.names()
        self.assertIn("nothing is published", self.publish(str(empty), "--no-wait", code=1))
        self.assertEqual(set(self.names()), set(before))

    def test_wrong_use_is_told(self):
        for wrong in (["--colour"], [], ["a", "b"], ["--back", "a"], ["a", "--instance", "i-1"]):
            self.publish(*wrong, code=64)
        self.local.run_script("publish-store", "a", "http://x/y", code=64)


if __name__ == "__main__":
    unittest.main()
