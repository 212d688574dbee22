"""Which actions of IAM the operator's work needs: the calls of the scripts, what CloudFormation does in the operator's
name, and what packer does.

The first are read out of the scripts. The other two are tables made from the services' API references and packer's
documentation; no account has judged them yet. `aws cloudformation describe-type --type RESOURCE --type-name TYPE` tells
what AWS says of a type.
"""
import pathlib
import re

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
OPERATOR = ("lib/aws.sh", "bake", "deploy", "roll", "destroy", "lib/parameters.py", "publish-store", "lib/storelib.py")
INSTANCE = SCRIPTS.parent / "ami/rootfs/usr/lib/trident"
# The command line's names of services, where IAM has another.
SERVICES = {"elbv2": "elasticloadbalancing", "s3api": "s3"}
# Commands whose permission has another name.
RENAMED = {("s3api", "head-object"): "s3:GetObject"}
# `aws s3 cp`: an upload of several parts that fails is removed again.
UPLOAD, DOWNLOAD = {"s3:PutObject", "s3:AbortMultipartUpload"}, {"s3:GetObject"}
# An object that is not there is called missing only to those who may list.
TOLD_MISSING = {"s3:ListBucket"}
# Commands that are no call of that name: they wait by describing, or ask no service; identity needs no permission.
NO_CALL = {("cloudformation", "wait"), ("configure", "get"), ("configure", "set"), ("sts", "get-caller-identity"), ("sso", "login")}
# Commands that only stand in messages and comments.
ADVICE = {("ssm", "put-parameter"), ("ec2", "describe-spot-price-history")}


def expand(service, text):
    return {f"{service}:{name}" for name in text.split()}


# CloudFormation, per type of resource: making, changing, deleting and looking at one.
MADE = {
    "AWS::EC2::VPC": expand("ec2", "CreateVpc DeleteVpc ModifyVpcAttribute DescribeVpcs DescribeVpcAttribute CreateTags DeleteTags"),
    "AWS::EC2::InternetGateway": expand("ec2", "CreateInternetGateway DeleteInternetGateway DescribeInternetGateways"),
    "AWS::EC2::VPCGatewayAttachment": expand("ec2", "AttachInternetGateway DetachInternetGateway"),
    "AWS::EC2::RouteTable": expand("ec2", "CreateRouteTable DeleteRouteTable DescribeRouteTables"),
    "AWS::EC2::Route": expand("ec2", "CreateRoute DeleteRoute ReplaceRoute"),
    "AWS::EC2::Subnet": expand("ec2", "CreateSubnet DeleteSubnet DescribeSubnets ModifySubnetAttribute DescribeAvailabilityZones"),
    "AWS::EC2::SubnetRouteTableAssociation": expand("ec2", "AssociateRouteTable DisassociateRouteTable"),
    "AWS::EC2::SecurityGroup": expand(
        "ec2", "CreateSecurityGroup DeleteSecurityGroup DescribeSecurityGroups AuthorizeSecurityGroupIngress "
        "RevokeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress"),
    "AWS::IAM::Role": expand("iam", "CreateRole DeleteRole GetRole UpdateAssumeRolePolicy PassRole"),
    "AWS::IAM::Policy": expand("iam", "PutRolePolicy DeleteRolePolicy GetRolePolicy"),
    "AWS::IAM::InstanceProfile": expand(
        "iam", "CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile AddRoleToInstanceProfile RemoveRoleFromInstanceProfile"),
    "AWS::EC2::LaunchTemplate": expand(
        "ec2", "CreateLaunchTemplate CreateLaunchTemplateVersion DeleteLaunchTemplate DescribeLaunchTemplates "
        "DescribeLaunchTemplateVersions"),
    "AWS::AutoScaling::AutoScalingGroup": expand(
        "autoscaling", "CreateAutoScalingGroup UpdateAutoScalingGroup DeleteAutoScalingGroup DescribeAutoScalingGroups "
        "DescribeScalingActivities PutLifecycleHook DeleteLifecycleHook DescribeLifecycleHooks EnableMetricsCollection "
        "DisableMetricsCollection CreateOrUpdateTags DeleteTags AttachLoadBalancerTargetGroups DetachLoadBalancerTargetGroups",
    ) | {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "iam:CreateServiceLinkedRole"},
    "AWS::AutoScaling::ScalingPolicy": expand("autoscaling", "PutScalingPolicy DeletePolicy DescribePolicies"),
    "AWS::AutoScaling::ScheduledAction": expand(
        "autoscaling", "PutScheduledUpdateGroupAction DeleteScheduledAction DescribeScheduledActions"),
    "AWS::AutoScaling::WarmPool": expand("autoscaling", "PutWarmPool DeleteWarmPool DescribeWarmPool"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": expand(
        "elasticloadbalancing", "CreateLoadBalancer DeleteLoadBalancer DescribeLoadBalancers ModifyLoadBalancerAttributes "
        "DescribeLoadBalancerAttributes SetSecurityGroups SetSubnets") | {"iam:CreateServiceLinkedRole"},
    "AWS::ElasticLoadBalancingV2::TargetGroup": expand(
        "elasticloadbalancing", "CreateTargetGroup DeleteTargetGroup DescribeTargetGroups ModifyTargetGroup "
        "ModifyTargetGroupAttributes DescribeTargetGroupAttributes"),
    "AWS::ElasticLoadBalancingV2::Listener": expand(
        "elasticloadbalancing", "CreateListener DeleteListener DescribeListeners ModifyListener ModifyListenerAttributes "
        "DescribeListenerAttributes"),
    "AWS::SNS::Topic": expand("sns", "CreateTopic DeleteTopic GetTopicAttributes Subscribe Unsubscribe ListSubscriptionsByTopic"),
    "AWS::CloudWatch::Alarm": expand("cloudwatch", "PutMetricAlarm DeleteAlarms DescribeAlarms"),
    "AWS::CloudWatch::Dashboard": expand("cloudwatch", "PutDashboard DeleteDashboards GetDashboard"),
    "AWS::Logs::LogGroup": expand("logs", "CreateLogGroup DeleteLogGroup DescribeLogGroups PutRetentionPolicy DeleteRetentionPolicy"),
}
# The amazon-ebs builder: a machine with a key and a security group of its own, an image of it, everything else gone.
BAKE = expand(
    "ec2", "RunInstances StopInstances TerminateInstances CreateImage CopyImage DeregisterImage DeleteSnapshot DeleteVolume "
    "CreateTags CreateKeyPair DeleteKeyPair CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroupIngress "
    "DescribeImages DescribeInstances DescribeInstanceStatus DescribeRegions DescribeSecurityGroups DescribeSnapshots "
    "DescribeSubnets DescribeTags DescribeVolumes DescribeVpcs")


def action(service, command):
    name = "".join(word.capitalize() for word in command.split("-"))
    return f"{SERVICES.get(service, service)}:{name}"


def calls_in(text):
    """Actions of every call of the AWS CLI in a script, in Bash or Python."""
    found = set(re.findall(r"\baws ([a-z0-9]+) ([a-z]+(?:-[a-z]+)*)", text))
    found |= set(re.findall(r'"aws", "([a-z0-9]+)", "([a-z-]+)"', text))
    # `aws cloudformation "$verb-stack"`
    found |= {("cloudformation", f"{verb}-stack") for verb in ("create", "update") if '"$verb-stack"' in text}
    actions = {RENAMED.get(one) or action(*one) for one in found - NO_CALL - ADVICE - {("s3", "cp")}}
    for source in re.findall(r'\baws\(?"? ?"?s3"?,? "?cp"?,? (\S+)', text):
        actions |= DOWNLOAD if "url" in source.lower() else UPLOAD
    return actions


def calls():
    """Those of the operator's scripts."""
    return set().union(*(calls_in((SCRIPTS / name).read_text()) for name in OPERATOR))


def instance_calls():
    """Those of an instance's own scripts."""
    # What an instance publishes is too small for several parts.
    return set().union(*(calls_in(path.read_text()) for path in INSTANCE.iterdir())) - {"s3:AbortMultipartUpload"}


def needed(types):
    """Everything an operator needs for a template with resources of these types."""
    return calls() | TOLD_MISSING | BAKE | {one for kind in types for one in MADE[kind]}
