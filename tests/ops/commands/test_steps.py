"""scripts/lib/steps.sh: what runs beside each other, what ends a run, and that nothing is left of it."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 120
# A step that goes on until it is ended, with a child in a session of its own that does not heed SIGTERM; both are told of.
ENDLESS = """
trap 'echo put away >>"$SEEN"' EXIT
setsid bash -c 'trap "" TERM; echo $$ >>"$SEEN.pids"; echo on >"$SEEN.fifo"; while :; do sleep 1; done' &
read -r _ <"$SEEN.fifo"
echo $$ >>"$SEEN.pids"
echo "it goes on"
echo started >"$SEEN.started"
while :; do sleep 1; done
"""


def lives(pid):
    """Not gone, and not ended and waiting for its parent to take notice."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Steps(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.seen = pathlib.Path(directory.name) / "seen"
        os.mkfifo(f"{self.seen}.fifo")
        os.mkfifo(f"{self.seen}.started")
        endless = pathlib.Path(directory.name) / "endless"
        endless.write_text("#!/usr/bin/env bash" + ENDLESS)
        endless.chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if name not in ("TRIDENT_SKIP", "STEP_OF_TEST")}
        self.environment |= {"SEEN": str(self.seen), "ENDLESS": str(endless), "CI": "true", "END_SECONDS": "2"}

    def start(self, script):
        return subprocess.Popen(
            ["bash", "-c", f"set -euo pipefail\nsource scripts/lib/steps.sh\n{script}"], cwd=ROOT, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self, process, code):
        """What it said, and its last line without the seconds."""
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(process.returncode, code, said)
        return said, re.sub(r"\d+ s\b", "N s", said.splitlines()[-1])

    def left(self):
        """Processes of the endless step that still live."""
        pids = pathlib.Path(f"{self.seen}.pids").read_text().split()
        self.assertEqual(len(pids), 2)
        return [pid for pid in pids if lives(pid)]

    def test_a_step_beside_is_shown_after_the_one_it_ended_beside(self):
        said, last = self.end(self.start(
            'begin quick bash -c "echo of quick; echo on >$SEEN.fifo"\n'
            'run slow bash -c "read -r _ <$SEEN.fifo; echo of slow"\nfinish quick\nrun third echo of third'), 0)
        self.assertLess(said.index("of slow"), said.index("of quick"))
        self.assertLess(said.index("of quick"), said.index("of third"))
        self.assertEqual(sorted(re.findall(r" (\w+)\(N s\)", last)), ["quick", "slow", "third"])
        self.assertTrue(last.endswith("; left out nothing; N s; all passed"), last)

    def test_a_failure_beside_ends_the_step_in_front(self):
        said, last = self.end(self.start(
            'begin broken bash -c "read -r _ <$SEEN.started; echo why; exit 7"\nrun front "$ENDLESS"\nrun never echo of never'), 7)
        self.assertIn("why", said)
        self.assertIn("it goes on", said)
        self.assertNotIn("of never", said)
        self.assertTrue(last.endswith("ran nothing; left out nothing; N s; FAILED at broken"), last)
        self.assertEqual(self.seen.read_text(), "put away\n")
        self.assertEqual(self.left(), [])

    def test_a_failure_in_front_ends_what_is_beside_and_shows_it(self):
        said, last = self.end(self.start('begin endless "$ENDLESS"\nrun broken bash -c "read -r _ <$SEEN.started; exit 3"'), 3)
        self.assertIn("endless, ended before its time\nit goes on\n", said)
        self.assertTrue(last.endswith("FAILED at broken"), last)
        self.assertEqual(self.left(), [])

    def test_a_failure_at_the_end_is_one(self):
        _, last = self.end(self.start('begin one true\nbegin two bash -c "exit 5"\nfinish one two'), 5)
        self.assertTrue(last.endswith("FAILED at two"), last)

    def test_a_signal_ends_everything(self):
        run = self.start('begin endless "$ENDLESS"\nrun front sleep 1000')
        with open(f"{self.seen}.started") as started:
            started.read()
        run.send_signal(signal.SIGTERM)
        _, last = self.end(run, 143)
        self.assertTrue(last.endswith("FAILED at front"), last)
        self.assertEqual(self.left(), [])

    def test_what_is_skipped_is_named(self):
        self.environment["TRIDENT_SKIP"] = "beside,front"
        _, last = self.end(self.start("begin beside false\nrun front false\nrun third true\nfinish beside"), 0)
        self.assertTrue(last.endswith("left out beside front (TRIDENT_SKIP=beside,front); N s; all passed"), last)

    def test_what_is_not_on_this_machine_fails_where_everything_must_run(self):
        _, last = self.end(self.start('begin absent bash -c "exit 69"\nfinish absent'), 69)
        self.assertTrue(last.endswith("FAILED at absent"), last)


if __name__ == "__main__":
    unittest.main()
