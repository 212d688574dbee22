"""What an instance runs at boot, every minute and at its end, against a metadata service and an `aws` of ours."""
import collections
import http.server
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / "ami/rootfs/usr/lib/trident"
TOKEN = "token-of-the-metadata-service"
KEY = "ab" * 32

# Records its arguments; gives the auth key. A service named in $FAKE/hangs never answers, and its caller is hard to end.
AWS = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$FAKE/aws.log"
! grep -qsx "$1" "$FAKE/hangs" || { trap '' TERM && sleep 600; }
case "$1 $2" in
"ssm get-parameter") [[ ! -e $FAKE/no-key ]] && cat "$FAKE/key" ;;
"elbv2 describe-target-health")
    [[ ! -e $FAKE/no-target-health ]] || { echo AccessDenied >&2 && exit 254; }
    cat "$FAKE/target-health" ;;
"s3 cp") echo 'An error occurred (404): Not Found' >&2 && exit 1 ;;
*)
    left=$(cat "$FAKE/refusals" 2>/dev/null || echo 0)
    ((left == 0)) || { echo $((left - 1)) >"$FAKE/refusals" && echo 'AccessDenied: not yet' >&2 && exit 254; }
    [[ ! -e $FAKE/exit ]] || { echo 'ValidationError: No active Lifecycle Action found' >&2 && exit 254; } ;;
esac
"""


class Metadata(http.server.BaseHTTPRequestHandler):
    """IMDSv2: nothing without a token."""

    paths = {}
    # How often each was asked for.
    asked = collections.Counter()

    def do_PUT(self):
        self.reply(TOKEN if self.path == "/latest/api/token" else None)

    def do_GET(self):
        self.asked[self.path] += 1
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN and self.path.startswith("/latest"):
            return self.reply(None, 401)
        return self.reply(self.paths.get(self.path))

    def reply(self, text, status=200):
        body = (text or "").encode()
        self.send_response(status if text is not None else max(status, 404))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Instance(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.fake = pathlib.Path(self.directory.name)
        self.root = self.fake / "root"
        (self.root / "usr/bin").mkdir(parents=True)
        self.program("aws", AWS)
        self.program("systemctl", '#!/bin/sh\necho "$@" >>"$FAKE/systemctl.log"\n')
        trident = self.root / "usr/bin/trident"
        trident.write_text('#!/bin/sh\n[ -e "$3/data.mdb" ]\n')
        trident.chmod(0o755)
        (self.fake / "key").write_text(KEY + "\n")
        handler = type("Handler", (Metadata,), {"paths": {}, "asked": collections.Counter()})
        self.paths, self.asked = handler.paths, handler.asked
        self.paths["/latest/meta-data/instance-id"] = "i-0123"
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.environment = os.environ | {
            "FAKE": str(self.fake), "ROOT": str(self.root), "IMDS": self.url, "POLL_SECONDS": "0.05",
            "READY_URL": f"{self.url}/readyz",
            "PATH": f"{self.fake}:{os.environ['PATH']}",
        }

    def program(self, name, text):
        path = self.fake / name
        path.write_text(text)
        path.chmod(0o755)

    def run_script(self, name, *arguments, code=0, **more):
        run = subprocess.run([str(SCRIPTS / name), *arguments], env=self.environment | more,
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def userdata(self, text, code=0):
        self.paths["/latest/user-data"] = text
        return self.run_script("userdata", code=code)

    def setting_lines(self):
        return (self.root / "etc/trident/trident.env").read_text().splitlines()

    # --- userdata ---------------------------------------------------------------------------------------

    def test_settings_are_taken_over_word_for_word(self):
        self.userdata('FLEET=f\nREGION=r\nTARGET_GROUP=arn:t\nTRIDENT_TEAM_NAME=A $(touch x) "B" \\ `c`\n\n# note\n')
        self.assertEqual(self.setting_lines(), ['TRIDENT_TEAM_NAME="A \\$(touch x) \\"B\\" \\\\ \\`c\\`"'])
        self.assertEqual((self.root / "run/trident/instance.env").read_text(), "FLEET=f\nREGION=r\nINSTANCE=i-0123\nTARGET_GROUP=arn:t\nSTORE_URL=\n")

    def test_the_key_comes_from_the_parameter_store_and_stays_private(self):
        said = self.userdata("FLEET=f\nREGION=r\nAUTH_KEY_PARAMETER=/trident/key\n")
        path = self.root / "etc/trident/auth.key"
        self.assertEqual(path.read_text(), KEY + "\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertIn("TRIDENT_AUTH_KEY_FILE=/etc/trident/auth.key", self.setting_lines())
        self.assertNotIn(KEY, said + "\n".join(self.setting_lines()))

    def test_a_key_that_cannot_be_read_fails_the_boot(self):
        (self.fake / "no-key").touch()
        said = self.userdata("FLEET=f\nREGION=r\nAUTH_KEY_PARAMETER=/trident/key\n", code=1)
        self.assertIn("/trident/key", said)
        self.assertFalse((self.root / "etc/trident/trident.env").exists())

    def test_a_parameter_that_does_not_come_is_named(self):
        (self.fake / "hangs").write_text("ssm\n")
        self.environment["CALL_SECONDS_MAX"] = "1"
        self.assertIn("/trident/key: no answer in 1 s", self.userdata("FLEET=f\nREGION=r\nAUTH_KEY_PARAMETER=/trident/key\n", code=1))

    def test_secret_settings_come_from_the_parameter_store_in_their_version(self):
        said = self.userdata("FLEET=f\nREGION=r\nSECRETS=TRIDENT_ADMIN_TOKEN=/trident/token:3\nTRIDENT_BACKLOG=9\n")
        self.assertEqual(self.setting_lines(), ['TRIDENT_BACKLOG="9"', f'TRIDENT_ADMIN_TOKEN="{KEY}"'])
        self.assertEqual(stat.S_IMODE((self.root / "etc/trident/trident.env").stat().st_mode), 0o600)
        self.assertIn("--name /trident/token:3", (self.fake / "aws.log").read_text())
        self.assertNotIn(KEY, said)

    def test_prometheus_and_logs_only_where_the_stack_says_so(self):
        run = self.root / "run/trident"
        self.userdata("FLEET=f\nREGION=r\nPROMETHEUS_GROUP=\nLOG_RETENTION_DAYS=0\n")
        self.assertFalse((run / "prometheus").exists() or (run / "logs.json").exists())
        self.userdata("FLEET=f\nREGION=r\nPROMETHEUS_GROUP=sg-1\nLOG_RETENTION_DAYS=7\n")
        self.assertTrue((run / "prometheus").exists())
        told = json.loads((run / "logs.json").read_text())
        one, = told["logs"]["logs_collected"]["files"]["collect_list"]
        self.assertEqual((one["log_group_name"], one["log_stream_name"], told["agent"]["region"]), ("/trident/f", "i-0123", "r"))
        self.assertIn(one["file_path"], (SCRIPTS / "log-file").read_text().replace("$directory", "/var/log/trident"))

    def test_knobs_of_the_stack_are_what_tune_reads(self):
        self.userdata("FLEET=f\nREGION=r\nTUNING=ring=8192 rps=off\n")
        self.assertEqual((self.root / "run/trident/tune.conf").read_text(), "ring=8192\nrps=off\n")
        (self.root / "sys/class/net/lo").mkdir(parents=True)
        (self.root / "proc/sys/net/core").mkdir(parents=True)
        self.assertIn("kernel busy_poll: left alone", self.run_script("tune"))
        self.userdata("FLEET=f\nREGION=r\nTUNING=rings=8192\n")
        self.assertIn("rings=8192 is not KNOB=VALUE", self.run_script("tune", code=64))
        self.userdata("FLEET=f\nREGION=r\nTUNING=\n")
        self.assertEqual((self.root / "run/trident/tune.conf").read_text(), "")

    def test_the_log_file_has_every_line_and_a_bound(self):
        lines = [f"2026-11-29T04:00:00+0000 host trident[1]: line {number}" for number in range(100)]
        (self.fake / "journal").write_text("\n".join(lines) + "\n")
        self.program("journalctl", '#!/bin/sh\ncat "$FAKE/journal"\n')
        self.run_script("log-file", LOGS_DIRECTORY=str(self.fake), LIMIT_BYTES="3000")
        kept = [(self.fake / name).read_text() for name in ("instance.log.1", "instance.log")]
        self.assertTrue(all(len(text) <= 3100 for text in kept))
        self.assertEqual("".join(kept).splitlines(), lines[-len("".join(kept).splitlines()):])
        self.run_script("log-file", LOGS_DIRECTORY=str(self.fake))
        self.assertTrue((self.fake / "instance.log").read_text().endswith(lines[-1] + "\n"))

    def test_a_database_gives_the_unit_its_network_back(self):
        (self.root / "usr/lib/trident").mkdir(parents=True)
        (self.root / "usr/lib/trident/database.conf").write_text("[Service]\n")
        self.old_store("trident/store")
        self.userdata("FLEET=f\nREGION=r\nSECRETS=TRIDENT_TWITTER_STORE=/trident/db:1\n")
        self.assertTrue((self.root / "etc/systemd/system/trident.service.d/database.conf").exists())
        self.assertIn("daemon-reload", (self.fake / "systemctl.log").read_text())
        self.assertEqual(self.setting_lines(), [f'TRIDENT_TWITTER_STORE="{KEY}"'], "not the store in the image")

    def old_store(self, place):
        """A store that is there from before."""
        store = self.root / "var/lib" / place
        store.mkdir(parents=True)
        (store / "seal.json").write_text("{}")
        return store

    def test_an_instance_without_the_published_store_does_not_serve(self):
        """How it is fetched: test_store.py."""
        said = self.userdata("FLEET=f\nREGION=r\nSTORE_URL=s3://b/p\n", code=1)
        self.assertIn("s3://b/p", said)
        self.assertIn("STORE_URL=s3://b/p\n", (self.root / "run/trident/instance.env").read_text())

    def test_an_instance_that_was_on_before_serves_what_it_has(self):
        store = self.old_store("trident-stores/" + "a" * 64)
        (store.parent / "current").symlink_to(store.name)
        self.userdata("FLEET=f\nREGION=r\nSTORE_URL=s3://b/p\n")
        self.assertEqual(self.setting_lines(), ["TRIDENT_TWITTER_STORE=/var/lib/trident-stores/current"])

    def test_the_store_in_the_image_is_for_fleets_without_a_published_one(self):
        self.old_store("trident/store")
        self.userdata("FLEET=f\nREGION=r\nSTORE_URL=\n")
        self.assertEqual(self.setting_lines(), ["TRIDENT_TWITTER_STORE=/var/lib/trident/store"])

    def test_wrong_user_data_fail_the_boot(self):
        for text in ("FLEET=f\n", "FLEET=f\nREGION=r\nnonsense\n", f"FLEET=f\nREGION=r\nTRIDENT_AUTH_KEY={KEY}\n"):
            with self.subTest(text):
                self.assertNotIn(KEY, self.userdata(text, code=1))
        del self.paths["/latest/user-data"]
        self.run_script("userdata", code=1)

    def test_outside_ec2_nothing_happens(self):
        environment = {key: value for key, value in self.environment.items() if key != "IMDS"}
        run = subprocess.run([str(SCRIPTS / "userdata")], env=environment, capture_output=True, text=True, check=True)
        self.assertIn("not an EC2 instance", run.stdout)

    # --- lifecycle --------------------------------------------------------------------------------------

    STATE = "/latest/meta-data/autoscaling/target-lifecycle-state"

    def lifecycle(self, **more):
        told = {"FLEET": "f", "REGION": "r", "INSTANCE": "i-0123", "TARGET_GROUP": "arn:t"} | more
        process = subprocess.Popen([str(SCRIPTS / "lifecycle")], env=self.environment | told,
                                   stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, name, text, times=1):
        """Until a program of ours was called with a text so often."""
        log = self.fake / name
        for _ in range(1200):
            if log.exists() and log.read_text().count(text) >= times:
                return
            time.sleep(0.05)
        self.fail(f"{name} lacks {text}: {log.read_text() if log.exists() else 'nothing'}")

    SPOT = "/latest/meta-data/spot/instance-action"

    def wait_until_asked(self, path, times):
        """Until a path was asked for so often from now on: what a question led to is done before the next one."""
        wanted = self.asked[path] + times
        for _ in range(1200):
            if self.asked[path] >= wanted:
                return
            time.sleep(0.05)
        self.fail(f"{path} was asked for {self.asked[path]} times, not {wanted}")

    def test_the_server_serves_until_the_target_is_unused(self):
        self.paths[self.STATE] = "Terminated"
        self.paths["/readyz"] = "ready"
        (self.fake / "target-health").write_text("draining\n")
        process = self.lifecycle()
        self.wait_for("aws.log", "describe-target-health --region r --target-group-arn arn:t --targets Id=i-0123", 5)
        self.assertFalse((self.fake / "systemctl.log").exists(), "stopped while the balancer uses it")
        (self.fake / "target-health").write_text("unused\n")
        self.assertEqual(process.wait(60), 0)
        self.assertIn("stop", (self.fake / "systemctl.log").read_text())
        self.assertIn("--lifecycle-hook-name leaving", (self.fake / "aws.log").read_text().splitlines()[-1])

    def test_a_target_group_that_does_not_answer_holds_nobody_for_ever(self):
        self.paths[self.STATE] = "Terminated"
        self.paths["/readyz"] = "ready"
        (self.fake / "no-target-health").touch()
        self.assertEqual(self.lifecycle(UNUSED_SECONDS_MAX="2").wait(60), 0)
        self.assertIn("stop", (self.fake / "systemctl.log").read_text())

    def test_a_service_that_hangs_keeps_no_instance_from_draining(self):
        self.paths[self.STATE] = "Terminated"
        self.paths["/readyz"] = "ready"
        (self.fake / "hangs").write_text("elbv2\n")
        self.assertEqual(self.lifecycle(UNUSED_SECONDS_MAX="2", CALL_SECONDS_MAX="600").wait(60), 0)
        self.assertIn("stop", (self.fake / "systemctl.log").read_text())
        self.assertIn("--lifecycle-hook-name leaving", (self.fake / "aws.log").read_text().splitlines()[-1])

    def test_a_notice_is_seen_while_a_service_hangs(self):
        self.paths[self.STATE] = "Terminated"
        self.paths["/readyz"] = "ready"
        (self.fake / "hangs").write_text("elbv2\n")
        process = self.lifecycle(UNUSED_SECONDS_MAX="600", CALL_SECONDS_MAX="1")
        self.wait_for("aws.log", "describe-target-health", 2)
        self.paths[self.SPOT] = "{}"
        self.assertEqual(process.wait(60), 0)
        self.assertIn("stop", (self.fake / "systemctl.log").read_text())

    def test_a_group_that_hangs_is_told_again(self):
        self.paths["/readyz"] = "ready"
        (self.fake / "hangs").write_text("autoscaling\n")
        process = self.lifecycle(CALL_SECONDS_MAX="1", TARGET_GROUP="")
        self.wait_for("aws.log", "joining", 2)
        (self.fake / "hangs").unlink()
        self.paths[self.STATE] = "Terminated"
        self.assertEqual(process.wait(60), 0)
        self.assertIn("--lifecycle-hook-name leaving", (self.fake / "aws.log").read_text().splitlines()[-1])

    def test_a_spot_instance_drains_on_its_notice_without_asking_anybody(self):
        self.paths[self.STATE] = "InService"
        self.paths["/readyz"] = "ready"
        process = self.lifecycle()
        self.wait_for("aws.log", "joining")
        self.wait_until_asked(self.SPOT, 2)
        self.assertFalse((self.fake / "systemctl.log").exists())
        self.paths[self.SPOT] = '{"action": "terminate", "time": "2030-01-01T00:00:00Z"}'
        self.wait_for("systemctl.log", "stop trident.socket trident-admin.socket trident.service")
        self.assertNotIn("elbv2", (self.fake / "aws.log").read_text())
        self.paths[self.STATE] = "Terminated"
        self.assertEqual(process.wait(60), 0)
        self.assertEqual((self.fake / "systemctl.log").read_text().count("stop"), 1)
        self.assertIn("--lifecycle-hook-name leaving", (self.fake / "aws.log").read_text().splitlines()[-1])

    def test_a_notice_ends_the_wait_for_the_balancer(self):
        self.paths[self.STATE] = "Terminated"
        self.paths["/readyz"] = "ready"
        (self.fake / "target-health").write_text("draining\n")
        process = self.lifecycle()
        self.wait_for("aws.log", "describe-target-health", 2)
        self.paths[self.SPOT] = "{}"
        self.assertEqual(process.wait(60), 0)
        self.assertIn("stop", (self.fake / "systemctl.log").read_text())

    def test_joins_then_drains_before_it_lets_go(self):
        state = self.STATE
        self.paths[state] = "InService"
        (self.fake / "refusals").write_text("2")
        process = self.lifecycle(TARGET_GROUP="")
        log = self.fake / "aws.log"
        self.wait_until_asked("/readyz", 3)
        self.assertFalse(log.exists(), "does not join before the server is ready")
        self.paths["/readyz"] = "ready"
        self.wait_for("aws.log", "joining", 3)
        self.wait_until_asked(state, 2)
        self.assertEqual(log.read_text().count("--lifecycle-hook-name joining"), 3, "two refusals, then told")
        self.assertIsNone(process.poll())
        self.assertFalse((self.fake / "systemctl.log").exists(), "nothing is stopped while in service")
        self.paths[state] = "Terminated"
        self.assertEqual(process.wait(60), 0)
        self.assertIn("stop", (self.fake / "systemctl.log").read_text())
        self.assertIn("--lifecycle-hook-name leaving", log.read_text().splitlines()[-1])

    def test_a_hook_nobody_waits_for_is_no_failure(self):
        self.paths["/readyz"] = "ready"
        (self.fake / "exit").write_text("254")
        self.paths[self.STATE] = "Terminated"
        self.run_script("lifecycle", FLEET="f", REGION="r", INSTANCE="i-0123")

    # --- publish ----------------------------------------------------------------------------------------

    def publish(self, **more):
        told = {"FLEET": "f", "REGION": "r", "RUNTIME_DIRECTORY": str(self.fake), "ADMIN_URL": self.url,
                "PUBLIC_URL": self.url} | more
        run = subprocess.run([sys.executable, str(SCRIPTS / "publish"), "--print"], env=self.environment | told,
                             capture_output=True, text=True, check=True)
        return {one["MetricName"]: one["Value"] for one in json.loads(run.stdout)}

    def test_rates_and_shares_are_differences(self):
        page = ("# HELP x\ntrident_requests_total {requests}\ntrident_connections_refused_total {refused}\n"
                'trident_requests_total{{endpoint="twitter",outcome="5xx"}} 0\ntrident_request_faults_total 9\n')
        for number in range(5):
            self.paths[f"/qrcode?type=encode&data=probe{number}"] = "x"
        self.paths["/metrics"] = page.format(requests=1000, refused=5)
        first = self.publish()
        self.assertEqual((first["RequestsPerSecond"], first["ErrorSharePercent"]), (0, 0))
        self.paths["/metrics"] = page.format(requests=1960, refused=45)
        second = self.publish()
        self.assertGreater(second["RequestsPerSecond"], 0)
        self.assertEqual(second["ErrorSharePercent"], 4.0)
        self.assertLess(second["ProbeLatencyMs"], 10_000)
        self.paths["/metrics"] = page.format(requests=100, refused=0)  # restarted
        self.assertEqual(self.publish()["ErrorSharePercent"], 0)

    def test_the_slowest_hundredth_is_of_the_requests_since(self):
        def page(fast, slow, lost=0):
            lines = []
            for endpoint in ("qrcode_encode", "twitter"):
                name = f'trident_request_seconds_bucket{{endpoint="{endpoint}",le='
                counts = {"0.001": fast, "0.25": fast + slow, "+Inf": fast + slow + lost}
                lines += [f'{name}"{bound}"}} {count}' for bound, count in counts.items()]
            return "\n".join(lines) + "\n"

        self.paths["/metrics"] = page(1000, 0)
        self.assertEqual(self.publish()["RequestP99Ms"], 0)
        for fast, slow, lost, wanted in ((2000, 5, 0, 1), (2100, 10, 0, 250), (2110, 10, 90, 10_000), (50, 0, 0, 1)):
            self.paths["/metrics"] = page(fast, slow, lost)
            self.assertEqual(self.publish()["RequestP99Ms"], wanted, (fast, slow, lost))

    def test_a_server_that_is_gone_has_a_slow_probe_and_nothing_else(self):
        self.assertEqual(self.publish(), {"ProbeLatencyMs": 10_000})

    def test_metrics_that_cannot_be_sent_hold_up_nothing(self):
        self.program("aws", "#!/bin/sh\nexec sleep 600\n")
        said = self.run_script("publish", code=1, FLEET="f", REGION="r", RUNTIME_DIRECTORY=str(self.fake), ADMIN_URL=self.url,
                               PUBLIC_URL=self.url, SEND_SECONDS_MAX="1")
        self.assertIn("did not answer in 1 s", said)

    def test_a_probe_without_an_answer_counts(self):
        self.paths["/metrics"] = "trident_requests_total 1\n"
        self.assertEqual(self.publish()["ProbeLatencyMs"], 10_000)

    def test_data_that_differ_are_numbers_that_differ(self):
        numbers = set()
        for labels in ('checksum="210eae95",updates="0"', 'checksum="210eae95",updates="1"', 'checksum="210eae94",updates="0"'):
            self.paths["/metrics"] = f'trident_store_info{{path="/a",{labels},built_by="x"}} 1\n'
            numbers.add(self.publish()["StoreData"])
        self.assertEqual(numbers, {0x210EAE95 << 20, (0x210EAE95 << 20) + 1, 0x210EAE94 << 20})
        self.assertTrue(all(number == float(number) < 2 ** 53 for number in numbers))
        self.paths["/metrics"] = "trident_requests_total 1\n"
        self.assertEqual(self.publish()["StoreData"], 0)

    def test_an_instance_that_does_not_follow_is_told(self):
        self.paths["/metrics"] = "trident_requests_total 1\n"
        self.assertNotIn("StoreFailed", self.publish())
        self.assertEqual(self.publish(STORE_URL="s3://b/p")["StoreFailed"], 1, "nobody has looked yet")
        booted = time.clock_gettime(time.CLOCK_BOOTTIME)
        for told, wanted in (({"failed": "", "at": booted}, 0), ({"failed": "no room", "at": booted}, 1), ([], 1),
                             ({"failed": "", "at": booted - 4300}, 1)):
            (self.fake / "store.json").write_text(json.dumps(told))
            self.assertEqual(self.publish(STORE_URL="s3://b/p")["StoreFailed"], wanted, told)


if __name__ == "__main__":
    unittest.main()
