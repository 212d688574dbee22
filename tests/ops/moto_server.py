"""A local AWS (moto) on a port of its own, with the gaps in its load balancers filled for ami/stack.yaml.

    python3 moto_server.py PORT [ADDRESS]

moto makes application load balancers whatever the template says and forgets the attributes, knows no previous value
of a parameter left at its default, keeps a list's members that AWS::NoValue leaves out, and cannot delete route tables;
here all of that works.
"""
import sys
import time

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.ec2.models.route_tables import RouteTable
from moto.elbv2 import models
from moto.server import ThreadedMotoServer

Balancer, TargetGroup = models.FakeLoadBalancer, models.FakeTargetGroup


def attributes(properties, key):
    return {attribute["Key"]: str(attribute["Value"]) for attribute in properties.get(key, [])}


def make_balancer(cls, resource_name, cloudformation_json, account_id, region_name, **_):
    properties = cloudformation_json["Properties"]
    balancer = models.elbv2_backends[account_id][region_name].create_load_balancer(
        properties.get("Name", resource_name),
        properties.get("SecurityGroups"),
        properties.get("Subnets"),
        scheme=properties.get("Scheme", "internet-facing"),
        loadbalancer_type=properties.get("Type", "application"),
    )
    balancer.attrs.update(attributes(properties, "LoadBalancerAttributes"))
    return balancer


plain_balancer_attribute = Balancer.get_cfn_attribute
plain_target_group = TargetGroup.create_from_cloudformation_json.__func__


def balancer_attribute(self, name):
    if name == "LoadBalancerFullName":
        return self.arn.split("loadbalancer/", 1)[1]
    return plain_balancer_attribute(self, name)


def make_target_group(cls, resource_name, cloudformation_json, account_id, region_name, **more):
    group = plain_target_group(cls, resource_name, cloudformation_json, account_id, region_name, **more)
    group.attributes.update(attributes(cloudformation_json["Properties"], "TargetGroupAttributes"))
    return group


Balancer.create_from_cloudformation_json = classmethod(make_balancer)
Balancer.get_cfn_attribute = balancer_attribute
TargetGroup.create_from_cloudformation_json = classmethod(make_target_group)
TargetGroup.has_cfn_attr = classmethod(lambda cls, name: name in ("TargetGroupFullName", "TargetGroupName"))
TargetGroup.get_cfn_attribute = lambda self, name: (
    self.arn.split(":", 5)[5] if name == "TargetGroupFullName" else self.name
)

plain_update = CloudFormationBackend._resolve_update_parameters


def update_parameters(self, instance, incoming_params):
    known = [one for one in incoming_params if "ParameterValue" in one or one["ParameterKey"] in instance.parameters]
    return plain_update(self, instance, known)


CloudFormationBackend._resolve_update_parameters = update_parameters


plain_clean = parsing.clean_json


def clean(resource, resources_map):
    cleaned = plain_clean(resource, resources_map)
    return [one for one in cleaned if one is not None] if isinstance(resource, list) else cleaned


parsing.clean_json = clean


def delete_route_table(self, account_id, region):
    self._associations.clear()
    self.ec2_backend.delete_route_table(self.id)


RouteTable.delete = delete_route_table

server = ThreadedMotoServer(ip_address=sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", port=int(sys.argv[1]))
server.start()
while True:
    time.sleep(60)
