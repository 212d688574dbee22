"""How an instance follows the published store (ami/rootfs/usr/lib/trident/store): against an S3 of files, an `aws` that
reads them, and a server that opens what its setting names at a reload. scripts/test-fleet does it with real ones under load."""
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "ami/rootfs/usr/lib/trident/store"
SECOND = 0.05

# `s3 cp`: from a file, to a file. Runs $FAKE/at-NAME before an object is read; hands out half of one that is to hang.
AWS = r"""#!/usr/bin/env bash
printf '%s\n' "$*" >>"$FAKE/aws.log"
[[ ! -e $FAKE/outage ]] || { echo 'Could not connect to the endpoint URL' >&2 && exit 1; }
if [[ $3 == - ]]; then
    [[ ! -e $FAKE/hang-report ]] || exec sleep 600
    mkdir -p "$(dirname "$FAKE/s3/${4#s3://b/p/}")" && exec cat >"$FAKE/s3/${4#s3://b/p/}"
fi
object=$FAKE/s3/${3#s3://b/p/} name=${3##*/}
[[ ! -x $FAKE/at-$name ]] || "$FAKE/at-$name"
[[ -e $object ]] || { echo 'An error occurred (404): Not Found' >&2 && exit 1; }
if [[ -e $FAKE/hang-$name ]]; then
    head -c 10 "$object" && touch "$FAKE/hangs" && exec sleep 600
fi
exec cat "$object"
"""
# The server opens what the link names, unless a test forbids it.
SYSTEMCTL = r"""#!/usr/bin/env bash
[[ ! -e $FAKE/deaf ]] || exit 0
readlink "$ROOT/var/lib/trident-stores/current" >"$FAKE/open"
"""
TRIDENT = '#!/bin/sh\n[ "$(cat "$3/data.mdb")" != unreadable ] || { echo "$3 is damaged" >&2; exit 1; }\n'


class Server(http.server.BaseHTTPRequestHandler):
    """Answers for the data of the store that is open: the text of its data file."""

    fake = None
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = (self.fake / "open").read_text().strip()
        if self.path == "/metrics":
            path = f'path="/var/lib/trident-stores/{content}"' if content else 'path="/sample"'
            return self.reply(f'# HELP trident_store_info x\ntrident_store_info{{{path},checksum="0"}} 1\n')
        data = self.fake / "root/var/lib/trident-stores" / content / "data.mdb"
        return self.reply(f"team,1\n{data.read_bytes().decode()}")

    def reply(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Following(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.fake = pathlib.Path(directory.name)
        self.stores = self.fake / "root/var/lib/trident-stores"
        self.run_directory = self.fake / "root/run/trident"
        for name, text in {"aws": AWS, "systemctl": SYSTEMCTL, "root/usr/bin/trident": TRIDENT}.items():
            self.program(name, text)
        (self.fake / "open").write_text("")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Server,), {"fake": self.fake}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        self.environment = os.environ | {
            "FAKE": str(self.fake), "ROOT": str(self.fake / "root"), "STORE_URL": "s3://b/p", "REGION": "r", "INSTANCE": "i-1",
            "ADMIN_URL": url, "PUBLIC_URL": url, "RELOAD_SECONDS_MAX": "1", "ROOM_RESERVE_BYTES": "0",
            "PATH": f"{self.fake}:{os.environ['PATH']}",
        }

    def program(self, name, text):
        path = self.fake / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    # --- what an operator does ------------------------------------------------------------------------------

    def upload(self, data, answer=None, **changed):
        """A store in S3, whose data are also the right answer; returns its content. `changed` replaces objects."""
        queries = {"target": "/twitter?user_id=1", "expect": {"result": answer or data}}
        queries = json.dumps(queries, ensure_ascii=False) + "\n"
        files = {"data.mdb": data, "seal.json": "{}", "queries.jsonl": queries} | changed.pop("files", {})
        told = {name: {"bytes": len(text.encode()), "sha256": hashlib.sha256(text.encode()).hexdigest()} for name, text in files.items()}
        manifest = json.dumps({"files": told})
        content = hashlib.sha256(manifest.encode()).hexdigest()
        place = self.fake / "s3/stores" / content
        place.mkdir(parents=True, exist_ok=True)
        (place / "manifest.json").write_text(changed.get("manifest", manifest))
        for name, text in (files | changed).items():
            if "/" not in name:
                subprocess.run(["zstd", "-qf", "-o", place / f"{name}.zst"], input=text.encode(), check=True)
        return content

    def point(self, content, **more):
        (self.fake / "s3").mkdir(exist_ok=True)
        (self.fake / "s3/pointer.json").write_text(json.dumps({"content": content} | more))

    def publish(self, data, *arguments, **more):
        content = self.upload(data, *arguments, **more)
        self.point(content)
        return content

    # --- what the instance does -----------------------------------------------------------------------------

    def follow(self, *arguments, code=0, **more):
        run = subprocess.run([sys.executable, str(SCRIPT), *arguments], env=self.environment | more, capture_output=True, text=True, timeout=120)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        self.assertNotIn("Traceback", run.stderr)
        return run.stdout + run.stderr

    def serves(self):
        return (self.fake / "open").read_text().strip()

    def kept(self):
        return {path.name for path in self.stores.iterdir() if not path.is_symlink()}

    def state(self):
        return json.loads((self.run_directory / "store.json").read_text())

    def report(self):
        return json.loads((self.fake / "s3/instances/i-1.json").read_text())

    def refuses(self, content, *words):
        """Whatever is published now: told, not swapped in, nothing left of it."""
        kept = self.kept()
        said = self.follow(code=1)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual((self.serves(), self.kept()), (content, kept))
        self.assertTrue(self.state()["failed"])
        self.assertEqual((self.report()["content"], bool(self.report()["failed"])), (content, True))
        return said

    # --- the way --------------------------------------------------------------------------------------------

    def test_what_is_published_is_served_and_told(self):
        one = self.publish("one")
        self.assertIn("1 answers are right", self.follow())
        self.assertEqual(self.serves(), one)
        self.assertEqual(self.report(), {"content": one, "failed": "", "asked": one, "refused": None})
        (self.fake / "aws.log").unlink()
        self.follow()
        self.assertEqual(len((self.fake / "aws.log").read_text().splitlines()), 1, "a look at the pointer and nothing else")

    def test_answers_hold_any_character(self):
        one = self.publish("é\u2028\x85 \r\n\x0b\U0001f600")
        self.follow()
        self.assertEqual(self.report()["asked"], one)

    def test_the_server_may_read_what_root_fetched(self):
        one = self.publish("one")
        subprocess.run(["bash", "-c", f"umask 077; {sys.executable} {SCRIPT}"], env=self.environment, check=True, capture_output=True)
        modes = {path.stat().st_mode & 0o777 for path in [self.stores / one, *(self.stores / one).iterdir()]}
        self.assertEqual(modes, {0o755, 0o644})

    def test_the_last_store_stays_for_going_back_without_a_fetch(self):
        one, two, three = (self.upload(data) for data in ("one", "two", "three"))
        for content in (one, two, three):
            self.point(content)
            self.follow()
        self.assertEqual(self.kept(), {two, three})
        self.point(two)
        (self.fake / "s3/stores" / two / "manifest.json").unlink()
        self.follow()
        self.assertEqual(self.serves(), two)

    def test_a_canary_is_for_the_instance_it_names(self):
        one, two = self.publish("one"), self.upload("two")
        self.point(one, canary={"content": two, "instance": "i-2"})
        self.follow()
        self.assertEqual(self.serves(), one)
        self.point(one, canary={"content": two, "instance": "i-1"})
        self.follow()
        self.assertEqual(self.serves(), two)
        self.point(one)
        self.follow()
        self.assertEqual(self.serves(), one)

    def test_wrong_answers_take_it_back_for_good(self):
        one = self.publish("one")
        self.follow()
        self.publish("two", "another answer")
        self.follow(code=1)
        self.assertEqual(self.serves(), one)
        self.assertIn("user_id=1 with status 200 and 'two'", self.state()["failed"])
        self.follow(code=1)
        self.assertEqual(self.serves(), one, "not tried again")
        self.assertEqual(self.report()["refused"], json.loads((self.fake / "s3/pointer.json").read_text())["content"])
        self.point(one)
        self.follow()
        self.assertEqual(self.report()["failed"], "")

    def test_the_pointer_moves_twice_while_one_is_fetched(self):
        one, two, three = self.publish("one"), self.upload("two"), self.upload("three")
        self.follow()
        self.point(two)
        self.program("at-manifest.json", f'#!/bin/sh\necho \'{{"content": "{three}"}}\' >"$FAKE/s3/pointer.json"\n')
        said = self.follow()
        self.assertEqual(self.serves(), three)
        self.assertNotIn(f"serves {two}", said)
        self.assertEqual(self.kept(), {one, three})

    # --- what goes wrong ------------------------------------------------------------------------------------

    def test_a_pointer_that_is_none_changes_nothing(self):
        one = self.publish("one")
        self.follow()
        for text in ("", "[]", "null", "7", '"x"', "{}", '{"content": 7}', '{"content": "../../etc"}', '{"content": "/etc"}',
                     f'{{"content": "{"a" * 63}/"}}', f'{{"content": "{one}\\n"}}', "[" * 4000, "x" * 5000, "\0\xff",
                     f'{{"content": "{one}", "canary": "i-1"}}', '{"content": "x", "canary": {"instance": "i-1"}}'):
            with self.subTest(text[:40]):
                (self.fake / "s3/pointer.json").write_text(text, encoding="latin-1")
                self.refuses(one, "pointer.json")

    def test_a_pointer_that_is_lost_or_unreachable_changes_nothing(self):
        one = self.publish("one")
        self.follow()
        (self.fake / "s3/pointer.json").unlink()
        self.refuses(one, "404")
        self.point(one)
        (self.fake / "outage").touch()
        self.follow(code=1)
        self.assertIn("Could not connect", self.state()["failed"])
        self.assertEqual(self.serves(), one)
        (self.fake / "outage").unlink()
        self.follow()
        self.assertEqual((self.state()["failed"], self.report()["failed"]), ("", ""))

    def test_a_store_that_is_not_whole_is_never_swapped_in(self):
        one = self.publish("one")
        self.follow()
        text = "two" * 100
        for what, changed in {
            "another byte": {"data.mdb": "twO" + text[3:]}, "cut off": {"data.mdb": text[:-1]}, "longer": {"data.mdb": text + "x"},
            "bomb": {"data.mdb": "0" * 50_000_000}, "another manifest": {"manifest": '{"files": {}}'},
        }.items():
            with self.subTest(what):
                content = self.publish(text, what, **changed)
                self.refuses(one, content)
        for what, files in {"a path": {"../../x": "x"}, "an unknown file": {"lock.mdb": "x"}}.items():
            with self.subTest(what):
                self.publish("two", what, files=files)
                self.refuses(one, "has the files")
        for garbage in ("not zstd", ""):
            with self.subTest(garbage):
                content = self.publish("two", f"a{garbage}")
                (self.fake / "s3/stores" / content / "data.mdb.zst").write_text(garbage)
                self.refuses(one, content)
        content = self.publish("unreadable")
        self.refuses(one, f"{content} does not verify")

    def test_what_is_damaged_is_fetched_again_later_and_what_is_missing_at_once(self):
        self.publish("one")
        self.follow()
        two = self.publish("two", **{"data.mdb": "twO"})
        self.follow(code=1)
        self.upload("two")
        (self.fake / "aws.log").unlink()
        self.follow(code=1)
        self.assertNotIn("data.mdb", (self.fake / "aws.log").read_text(), "gigabytes are not fetched every minute in vain")
        (self.run_directory / "store.json").unlink()
        self.publish("two", **{"data.mdb": "twO"})
        self.follow(code=1, DAMAGED_SECONDS="0")
        self.upload("two")
        self.follow()
        self.assertEqual(self.serves(), two)
        three = self.publish("three")
        missing = self.fake / "s3/stores" / three / "seal.json.zst"
        saved = missing.read_bytes()
        missing.unlink()
        self.refuses(two, "404")
        missing.write_bytes(saved)
        self.follow()
        self.assertEqual(self.serves(), three)

    def test_objects_are_decompressed_on_their_way_and_take_no_room(self):
        self.program("at-data.mdb.zst", '#!/bin/sh\nls -A "$ROOT"/var/lib/trident-stores/.fetch-* >"$FAKE/seen"\n')
        one = self.publish("one" * 100_000)
        self.follow()
        self.assertEqual(self.serves(), one)
        names = {"queries.jsonl", "seal.json", "data.mdb"}
        self.assertTrue({"seal.json"} <= set((self.fake / "seen").read_text().split()) <= names)
        self.assertEqual({path.name for path in (self.stores / one).iterdir()}, names)

    def test_without_room_nothing_begins(self):
        one = self.publish("one")
        self.follow()
        self.publish("two")
        self.environment["ROOM_RESERVE_BYTES"] = str(1 << 60)
        self.refuses(one, "no room")
        self.environment["ROOM_RESERVE_BYTES"] = "0"
        self.follow()
        three = self.publish("three")
        self.environment["ROOM_RESERVE_BYTES"] = str(1 << 60)
        self.follow(code=1)
        self.assertEqual(self.kept(), {self.serves()}, "the store before goes first")
        self.environment["ROOM_RESERVE_BYTES"] = "0"
        self.follow()
        self.assertEqual(self.serves(), three)

    def test_a_disk_that_fills_while_it_is_written(self):
        one = self.publish("one")
        self.follow()
        self.publish("two" * 100_000)
        run = subprocess.run([sys.executable, str(SCRIPT)], env=self.environment, capture_output=True, text=True, check=False,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
        self.assertEqual((run.returncode, self.serves(), self.kept()), (1, one, {one}), run.stderr)
        self.assertIn("File too large", run.stderr)
        self.follow()
        self.assertNotEqual(self.serves(), one)

    def start_and_wait(self, *arguments, until):
        process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], env=self.environment, start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
        for _ in range(1200):
            if until():
                return process
            time.sleep(SECOND)
        self.fail("it did not come so far")

    def kill(self, process):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # A child that was killed before it became another program may still hold the lock: the next run would leave at once.
        with open(self.run_directory / "store.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def test_killed_in_mid_fetch(self):
        one = self.publish("one")
        self.follow()
        two = self.publish("two" * 1000)
        (self.fake / "hang-data.mdb.zst").touch()
        process = self.start_and_wait(until=(self.fake / "hangs").exists)
        self.assertEqual(self.follow(), "", "another run leaves it alone")
        self.kill(process)
        self.assertEqual((self.serves(), self.kept()), (one, {one, f".fetch-{two}"}))
        (self.fake / "hang-data.mdb.zst").unlink()
        self.follow()
        self.assertEqual((self.serves(), self.kept()), (two, {one, two}))

    def test_a_fetch_that_stalls_is_given_up(self):
        one = self.publish("one")
        self.follow()
        two = self.publish("two" * 1000)
        for name in ("pointer.json", "manifest.json", "data.mdb.zst"):
            with self.subTest(name):
                hang = self.fake / f"hang-{name}"
                hang.touch()
                self.assertIn(f"{name}: nothing came for 1 s", self.follow(code=1, STALL_SECONDS_MAX="1"))
                self.assertEqual((self.serves(), self.kept(), self.report()["content"]), (one, {one}, one))
                hang.unlink()
        self.follow()
        self.assertEqual(self.serves(), two)

    def test_a_report_that_stalls_is_given_up(self):
        (self.fake / "hang-report").touch()
        one = self.publish("one")
        self.assertIn("no report: S3 did not answer in 1 s", self.follow(STALL_SECONDS_MAX="1"))
        self.assertEqual(self.serves(), one)
        (self.fake / "hang-report").unlink()
        self.follow()
        self.assertEqual(self.report()["content"], one, "told by the next run")

    def test_killed_between_swap_and_reload(self):
        one = self.publish("one")
        self.follow()
        two = self.publish("two")
        (self.fake / "deaf").touch()
        link = self.stores / "current"
        self.environment["RELOAD_SECONDS_MAX"] = "600"
        process = self.start_and_wait(until=lambda: os.readlink(link) == two)
        self.kill(process)
        self.assertEqual((os.readlink(link), self.serves()), (two, one))
        (self.fake / "deaf").unlink()
        self.follow()
        self.assertEqual((self.serves(), self.report()["asked"]), (two, two))

    def test_a_server_that_does_not_open_it_keeps_what_it_has(self):
        one = self.publish("one")
        self.follow()
        self.publish("two")
        (self.fake / "deaf").touch()
        self.follow(code=1)
        self.assertEqual((os.readlink(self.stores / "current"), self.serves()), (one, one))
        self.assertIn("did not open", self.state()["failed"])

    def test_nothing_is_swapped_under_a_server_that_does_not_answer(self):
        one = self.publish("one")
        self.follow()
        self.publish("two")
        self.follow(code=1, ADMIN_URL="http://127.0.0.1:1")
        self.assertEqual(os.readlink(self.stores / "current"), one)

    # --- boot -----------------------------------------------------------------------------------------------

    def test_a_boot_fetches_and_does_not_need_the_server(self):
        one = self.publish("one")
        self.follow("--boot", ADMIN_URL="http://127.0.0.1:1")
        self.assertEqual(os.readlink(self.stores / "current"), one)
        self.assertEqual(self.serves(), "", "no reload")
        self.publish("two", **{"data.mdb": "twO"})
        self.follow("--boot", code=1)
        self.assertEqual(os.readlink(self.stores / "current"), one)

    def test_without_a_url_nothing_happens(self):
        self.follow(STORE_URL="")
        self.assertFalse(self.stores.exists())


if __name__ == "__main__":
    unittest.main()
