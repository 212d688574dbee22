"""Which Terraform resource each CloudFormation resource is, and what its properties are called there.

Properties that are not listed have the same name in Terraform's spelling: `CidrBlock` is `cidr_block`.
"""
from dataclasses import dataclass, field


@dataclass
class Kind:
    """`reference` is the attribute `!Ref` gives, `attributes` those of `!GetAtt`.

    `names` renames properties; "" lifts the properties of one into its parent, a pair puts one into a block, None
    leaves one out.
    `settings` places the pairs of a list of Key and Value. `lists` are properties Terraform wants as lists, `first`
    those it wants as the first item only, `json` those it wants as JSON text, `maps` those that are maps and not blocks.
    `only` are attributes that Terraform alone has. `within` is the property that names the resource of which this one is a
    block in Terraform.
    """

    type: str
    reference: str = "id"
    attributes: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    lists: tuple = ()
    first: tuple = ()
    json: tuple = ()
    only: dict = field(default_factory=dict)
    within: str = ""


# An attribute below a block of its own: (block, name).
def within(block, *names):
    return {name: (block, inner) for name, inner in names}


KINDS = {
    "AWS::EC2::VPC": Kind("aws_vpc"),
    "AWS::EC2::InternetGateway": Kind("aws_internet_gateway"),
    "AWS::EC2::VPCGatewayAttachment": Kind("aws_internet_gateway_attachment"),
    "AWS::EC2::RouteTable": Kind("aws_route_table"),
    "AWS::EC2::Route": Kind("aws_route"),
    "AWS::EC2::Subnet": Kind("aws_subnet"),
    "AWS::EC2::SubnetRouteTableAssociation": Kind("aws_route_table_association"),
    "AWS::EC2::SecurityGroup": Kind(
        "aws_security_group",
        names={
            "GroupDescription": "description", "SecurityGroupIngress": "ingress", "IpProtocol": "protocol",
            "CidrIp": "cidr_blocks", "SourceSecurityGroupId": "security_groups",
        },
        lists=("CidrIp", "SourceSecurityGroupId"),
    ),
    "AWS::IAM::Role": Kind(
        "aws_iam_role", "name",
        names={"AssumeRolePolicyDocument": "assume_role_policy"}, json=("AssumeRolePolicyDocument",),
    ),
    "AWS::IAM::Policy": Kind(
        "aws_iam_role_policy",
        names={"PolicyName": "name", "Roles": "role", "PolicyDocument": "policy"},
        first=("Roles",), json=("PolicyDocument",),
    ),
    "AWS::IAM::InstanceProfile": Kind(
        "aws_iam_instance_profile", "name", {"Arn": "arn"}, names={"Roles": "role"}, first=("Roles",)
    ),
    "AWS::EC2::LaunchTemplate": Kind(
        "aws_launch_template", "id", {"LatestVersionNumber": "latest_version"},
        names={"LaunchTemplateData": "", "SecurityGroupIds": "vpc_security_group_ids"},
    ),
    "AWS::AutoScaling::AutoScalingGroup": Kind(
        "aws_autoscaling_group", "name",
        names={
            "AutoScalingGroupName": "name", "LaunchTemplateId": "id", "LifecycleHookName": "name",
            "LifecycleHookSpecificationList": "initial_lifecycle_hook", "MetricsCollection": "",
            "Granularity": "metrics_granularity", "Metrics": "enabled_metrics",
        },
    ),
    "AWS::AutoScaling::ScalingPolicy": Kind("aws_autoscaling_policy", only={"name": None}),
    "AWS::AutoScaling::ScheduledAction": Kind(
        "aws_autoscaling_schedule", only={"scheduled_action_name": None, "max_size": -1, "desired_capacity": -1},
    ),
    "AWS::AutoScaling::WarmPool": Kind("warm_pool", within="AutoScalingGroupName"),
    "AWS::Logs::LogGroup": Kind("aws_cloudwatch_log_group", "name", names={"LogGroupName": "name"}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Kind(
        "aws_lb", "arn", {"LoadBalancerFullName": "arn_suffix", "DNSName": "dns_name"},
        names={"Type": "load_balancer_type", "Scheme": "internal", "LoadBalancerAttributes": ""},
        settings={
            "load_balancing.cross_zone.enabled": "enable_cross_zone_load_balancing",
            "deletion_protection.enabled": "enable_deletion_protection",
            "zonal_shift.config.enabled": "enable_zonal_shift",
        },
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": Kind(
        "aws_lb_target_group", "arn", {"TargetGroupFullName": "arn_suffix"},
        names={"TargetGroupAttributes": ""} | within(
            "health_check",
            ("HealthCheckProtocol", "protocol"), ("HealthCheckPort", "port"), ("HealthCheckPath", "path"),
            ("HealthCheckIntervalSeconds", "interval"), ("HealthCheckTimeoutSeconds", "timeout"),
            ("HealthyThresholdCount", "healthy_threshold"), ("UnhealthyThresholdCount", "unhealthy_threshold"),
            ("Matcher", "matcher"),
        ),
        settings={
            "deregistration_delay.timeout_seconds": "deregistration_delay",
            "deregistration_delay.connection_termination.enabled": "connection_termination",
            "target_health_state.unhealthy.connection_termination.enabled":
                ("target_health_state", "enable_unhealthy_connection_termination"),
            "target_health_state.unhealthy.draining_interval_seconds":
                ("target_health_state", "unhealthy_draining_interval"),
            "preserve_client_ip.enabled": "preserve_client_ip",
            "proxy_protocol_v2.enabled": "proxy_protocol_v2",
            "stickiness.enabled": ("stickiness", "enabled"),
        },
    ),
    "AWS::ElasticLoadBalancingV2::Listener": Kind(
        "aws_lb_listener", "arn",
        names={"DefaultActions": "default_action", "ListenerAttributes": ""},
        settings={"tcp.idle_timeout.seconds": "tcp_idle_timeout_seconds"},
    ),
    "AWS::SNS::Topic": Kind("aws_sns_topic", "arn", names={"Subscription": None}),
    "AWS::CloudWatch::Alarm": Kind(
        "aws_cloudwatch_metric_alarm",
        names={"Metrics": "metric_query", "MetricStat": "metric", "Metric": ""},
    ),
    "AWS::CloudWatch::Dashboard": Kind("aws_cloudwatch_dashboard"),
}
