"""An AWS on this machine (moto_server.py), for the operator's scripts and for questions to it."""
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3

from machine import free_port

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "scripts"
REGION = "us-east-1"


class LocalAws:
    """Runs until `close`; `environment` makes the AWS CLI, packer and everything else use it."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.state = pathlib.Path(self.directory.name)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "MOTO_AMIS_PATH": str(HERE / "base_images.json"),
        }
        log = self.state / "moto.log"
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "moto_server.py"), str(port)], env=self.environment, stdout=out, stderr=out
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, service, call, **arguments):
        """A question in this process: starting the AWS CLI takes a second of processor time."""
        client = boto3.client(
            service, region_name=REGION, endpoint_url=self.url, aws_access_key_id="x", aws_secret_access_key="x"
        )
        return getattr(client, call)(**arguments)

    def run_script(self, name, *arguments, code=0, timeout=300):
        """What a script of scripts/ says; its exit code must be `code`."""
        run = subprocess.run(
            [str(SCRIPTS / name), *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        assert run.returncode == code, f"{name}: exit {run.returncode}\n{run.stdout}{run.stderr}"
        return run.stdout + run.stderr

    def target_states(self):
        """Health of every instance behind the balancer."""
        group, = self.ask("elbv2", "describe_target_groups")["TargetGroups"]
        health = self.ask("elbv2", "describe_target_health", TargetGroupArn=group["TargetGroupArn"])
        return [one["TargetHealth"]["State"] for one in health["TargetHealthDescriptions"]]
