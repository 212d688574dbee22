"""Bakes with packer's amazon-ebs builder in a local AWS, and launches the fleet from the AMI that comes out.

    bake.py ROOT KEY BINARY

The local AWS has no machines: packer provisions a Debian in the directory ROOT over SSH, as it would the one EC2 starts. That
what the same provisioners make also boots is proven by boot.py.
"""
import json
import sys

from debian import Debian
from local_aws import SCRIPTS, LocalAws

NEWEST = "ami-0deb13a0000000002"  # of base_images.json, amd64


def check(what, wanted, found):
    if wanted != found:
        sys.exit(f"test-image: {what}: {found}, wanted {wanted}")


def main():
    root, key, binary = sys.argv[1:4]
    with LocalAws() as aws, Debian(root) as debian:
        variables = {
            "custom_endpoint_ec2": aws.url, "skip_metadata_api_check": "true",
            "ssh_host": "127.0.0.1", "ssh_port": debian.ssh, "ssm_agent_url": "", "cloudwatch_agent_url": "",
        }
        said = aws.run_script(
            "bake", "--dirty", "--binary", binary, "--key", key,
            *(word for name, value in variables.items() for word in ("--var", f"{name}={value}")), timeout=900,
        )
        if "the image is good" not in said:
            sys.exit(f"test-image: the self-test did not run:\n{said}")
        manifest = json.loads((SCRIPTS.parent / "target/bake/manifest.json").read_text())
        made = manifest["builds"][-1]
        ami = made["artifact_id"].split(":")[1]
        image, = aws.ask("ec2", "describe_images", ImageIds=[ami])["Images"]
        tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
        check("base image", NEWEST, tags["BaseImage"])
        check("commit", made["custom_data"]["commit"], tags["Commit"])
        check("checksum", made["custom_data"]["sha256"], tags["Sha256"])
        check("state", "available", image["State"])
        left = aws.ask("ec2", "describe_instances", Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        check("machines left running", [], left["Reservations"])
        print(f"  {ami} ({image['Name']}) is made, tagged with commit and checksum")

        aws.ask("ssm", "put_parameter", Name="/trident/key", Type="SecureString", Value="0" * 64)
        aws.run_script(
            "deploy", "--image", "latest", "--set", "InstanceType=c5.large", "--set", "FleetMin=2",
            "--set", "AuthKeyParameter=/trident/key", "--timeout", "60",
        )
        check("targets", ["healthy"] * 2, aws.target_states())
        group, = aws.ask("autoscaling", "describe_auto_scaling_groups")["AutoScalingGroups"]
        template = group["LaunchTemplate"]["LaunchTemplateId"]
        version, = aws.ask("ec2", "describe_launch_template_versions", LaunchTemplateId=template)["LaunchTemplateVersions"]
        check("image of the fleet", ami, version["LaunchTemplateData"]["ImageId"])
        print("  scripts/deploy launches a fleet of it, both targets healthy")
        aws.run_script("destroy", "--yes")


if __name__ == "__main__":
    main()
