"""Which actions of IAM the operator's work needs: the calls of the scripts, what CloudFormation does in the operator's
name, and what packer does.

The first are read out of the scripts. The other two are tables made from the services' API references and packer's
documentation; no account has judged them yet. `aws cloudformation describe-type --type RESOURCE --type-name TYPE` tells
what AWS says of a type.
"""
import pathlib
import re

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
OPERATOR = ("aws.sh", "bake", "deploy", "roll", "destroy", "parameters.py")
# The command line's names of services, where IAM has another.
SERVICES = {"elbv2": "elasticloadbalancing"}
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


def calls():
    """Actions of every call of the AWS CLI that stands in the operator's scripts."""
    found = set()
    for name in OPERATOR:
        text = (SCRIPTS / name).read_text()
        found |= set(re.findall(r"\baws ([a-z0-9]+) ([a-z]+(?:-[a-z]+)*)", text))
        found |= set(re.findall(r'"aws", "([a-z0-9]+)", "([a-z-]+)"', text))
        # `aws cloudformation "$verb-stack"`
        found |= {("cloudformation", f"{verb}-stack") for verb in ("create", "update") if '"$verb-stack"' in text}
    return {action(*one) for one in found - NO_CALL - ADVICE}


def needed(types):
    """Everything an operator needs for a template with resources of these types."""
    return calls() | BAKE | {one for kind in types for one in MADE[kind]}
