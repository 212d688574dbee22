# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

resource "aws_vpc" "vpc" {
  count                = local.make_network ? 1 : 0
  cidr_block           = "10.80.0.0/16"
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = var.name }
}

resource "aws_internet_gateway" "gateway" {
  count = local.make_network ? 1 : 0
}

resource "aws_internet_gateway_attachment" "gateway_attachment" {
  count               = local.make_network ? 1 : 0
  vpc_id              = aws_vpc.vpc[0].id
  internet_gateway_id = aws_internet_gateway.gateway[0].id
}

resource "aws_route_table" "routes" {
  count  = local.make_network ? 1 : 0
  vpc_id = aws_vpc.vpc[0].id
}

resource "aws_route" "route_out" {
  count                  = local.make_network ? 1 : 0
  route_table_id         = aws_route_table.routes[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.gateway[0].id
  depends_on             = [aws_internet_gateway_attachment.gateway_attachment]
}

# Public addresses instead of a NAT gateway, which would cost more than an instance; the security group
# lets nothing in but the balancer.
resource "aws_subnet" "subnet_a" {
  count                   = local.make_network ? 1 : 0
  vpc_id                  = aws_vpc.vpc[0].id
  cidr_block              = "10.80.0.0/20"
  availability_zone       = data.aws_availability_zones.zones.names[0]
  map_public_ip_on_launch = true
}

resource "aws_subnet" "subnet_b" {
  count                   = local.make_network ? 1 : 0
  vpc_id                  = aws_vpc.vpc[0].id
  cidr_block              = "10.80.16.0/20"
  availability_zone       = data.aws_availability_zones.zones.names[1]
  map_public_ip_on_launch = true
}

resource "aws_route_table_association" "routes_of_a" {
  count          = local.make_network ? 1 : 0
  subnet_id      = aws_subnet.subnet_a[0].id
  route_table_id = aws_route_table.routes[0].id
}

resource "aws_route_table_association" "routes_of_b" {
  count          = local.make_network ? 1 : 0
  subnet_id      = aws_subnet.subnet_b[0].id
  route_table_id = aws_route_table.routes[0].id
}

resource "aws_security_group" "balancer_group" {
  description = "Clients to the balancer"
  vpc_id      = local.make_network ? aws_vpc.vpc[0].id : var.vpc_id
  ingress {
    protocol    = "tcp"
    from_port   = 80
    to_port     = 80
    cidr_blocks = [var.client_cidr]
  }
  # CloudFormation opens the way out of a security group by itself, Terraform closes it by itself.
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "instance_group" {
  description = "The balancer to the instances, Prometheus if told, nobody else"
  vpc_id      = local.make_network ? aws_vpc.vpc[0].id : var.vpc_id
  ingress {
    protocol        = "tcp"
    from_port       = 8080
    to_port         = 8080
    security_groups = [aws_security_group.balancer_group.id]
  }
  # ami/rootfs, trident-metrics.socket.
  dynamic "ingress" {
    for_each = local.has_prometheus ? [1] : []
    content {
      protocol        = "tcp"
      from_port       = 9091
      to_port         = 9091
      security_groups = [var.prometheus_group]
    }
  }
  # CloudFormation opens the way out of a security group by itself, Terraform closes it by itself.
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}
