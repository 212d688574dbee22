# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

resource "aws_lb" "balancer" {
  load_balancer_type = "network"
  internal           = var.scheme == "internal"
  subnets            = local.make_network ? [aws_subnet.subnet_a[0].id, aws_subnet.subnet_b[0].id] : var.subnet_ids
  security_groups    = [aws_security_group.balancer_group.id]
  # One address per zone; across zones, a client that knows one of them still reaches every instance.
  enable_cross_zone_load_balancing = var.cross_zone
  enable_deletion_protection       = false
  # `aws arc-zonal-shift start-zonal-shift` takes a zone out; ami/README.md says when.
  enable_zonal_shift = true
  depends_on         = [aws_route.route_out]
}

resource "aws_lb_target_group" "target_group" {
  vpc_id      = local.make_network ? aws_vpc.vpc[0].id : var.vpc_id
  target_type = "instance"
  protocol    = "TCP"
  port        = 8080
  health_check {
    protocol            = "HTTP"
    port                = "traffic-port"
    path                = "/readyz"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
    matcher             = "200"
  }
  # Longer than the drain, so that a connection ends with the answer that says `Connection: close`, never
  # because the balancer forgets it. And longer than the balancer was seen to go on directing connections at a
  # deregistered target, 120 s, and a quarter more: the drain begins when the target is unused.
  deregistration_delay   = 160
  connection_termination = false
  target_health_state {
    # A draining instance is unhealthy to the balancer and still answers: its flows must not be reset.
    enable_unhealthy_connection_termination = false
    unhealthy_draining_interval             = 160
  }
  # Nothing here looks at a client's address; kept, two zones could give a target the same client port twice.
  preserve_client_ip = false
  proxy_protocol_v2  = false
  stickiness {
    type    = "source_ip"
    enabled = false
  }
}

resource "aws_lb_listener" "listener" {
  load_balancer_arn = aws_lb.balancer.arn
  protocol          = "TCP"
  port              = 80
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.target_group.arn
  }
  # Longer than http.idle_timeout_ms, 75 s: the server ends idle connections, with a FIN.
  tcp_idle_timeout_seconds = 350
}
