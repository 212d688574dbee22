# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

resource "aws_launch_template" "launch_template" {
  image_id      = var.image_id
  instance_type = var.instance_type
  iam_instance_profile {
    arn = aws_iam_instance_profile.instance_profile.arn
  }
  vpc_security_group_ids = [aws_security_group.instance_group.id]
  # A boot that fails powers off (ami/rootfs): such a machine must not go on costing money.
  instance_initiated_shutdown_behavior = "terminate"
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }
  monitoring {
    enabled = true
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = var.volume_gib
      encrypted             = var.volume_encrypted
      delete_on_termination = true
    }
  }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = var.name }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { Name = var.name }
  }
  # Names and values only, read by trident-userdata; secrets are references.
  user_data = base64encode(<<-DATA
    TRIDENT_TEAM_NAME=${var.team_name}
    TRIDENT_TEAM_AWS_ACCOUNT=${var.team_aws_account}
    AUTH_KEY_PARAMETER=${var.auth_key_parameter}
    STORE_URL=${var.store_url}
    SECRETS=${var.secrets}
    PROMETHEUS_GROUP=${var.prometheus_group}
    LOG_RETENTION_DAYS=${var.log_retention_days}
    TUNING=${var.tuning}
    ${var.server_settings}
    FLEET=${var.name}
    TARGET_GROUP=${aws_lb_target_group.target_group.arn}
    REGION=${local.region}
  DATA
  )
}

resource "aws_autoscaling_group" "fleet" {
  name                = var.name
  vpc_zone_identifier = local.make_network ? [aws_subnet.subnet_a[0].id, aws_subnet.subnet_b[0].id] : var.subnet_ids
  min_size            = var.fleet_min
  max_size            = var.fleet_max
  target_group_arns   = [aws_lb_target_group.target_group.arn]
  # What the balancer sees counts: a machine that runs and does not serve is replaced.
  health_check_type         = "ELB"
  health_check_grace_period = 90
  default_instance_warmup   = 60
  # A spot instance at risk is replaced before it is taken; on demand it has no effect.
  capacity_rebalance = true
  launch_template {
    id      = aws_launch_template.launch_template.id
    version = aws_launch_template.launch_template.latest_version
  }
  # An instance joins when trident-lifecycle says so: after READY. One that never does is abandoned.
  initial_lifecycle_hook {
    name                 = "joining"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 420
    default_result       = "ABANDON"
  }
  # Time until the target is unused and the drain is over, ended early by trident-lifecycle.
  initial_lifecycle_hook {
    name                 = "leaving"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 400
    default_result       = "CONTINUE"
  }
  metrics_granularity = "1Minute"
  enabled_metrics     = ["GroupInServiceInstances", "GroupDesiredCapacity"]
  tag {
    key                 = "Name"
    value               = var.name
    propagate_at_launch = false
  }
  dynamic "warm_pool" {
    for_each = local.has_warm_pool ? [1] : []
    content {
      min_size   = var.warm_pool_size
      pool_state = "Stopped"
    }
  }
  # What an instance needs is there before it boots and until it is gone.
  depends_on = [
    aws_iam_role_policy.shell_policy,
    aws_iam_role_policy.metrics_policy,
    aws_iam_role_policy.lifecycle_policy,
    aws_route.route_out,
    aws_route_table_association.routes_of_a,
    aws_route_table_association.routes_of_b,
    aws_iam_role_policy.auth_key_policy,
    aws_iam_role_policy.secret_policy,
    aws_iam_role_policy.store_policy,
    aws_iam_role_policy.log_policy,
  ]
}

resource "aws_autoscaling_policy" "cpu_tracking" {
  name                   = "cpu-tracking"
  autoscaling_group_name = aws_autoscaling_group.fleet.name
  policy_type            = "TargetTrackingScaling"
  target_tracking_configuration {
    target_value = var.cpu_target_percent
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

# A load that comes by the clock finds its machines running: scaling takes minutes, a test begins at once.
resource "aws_autoscaling_schedule" "warm_up" {
  count                  = local.has_warm ? 1 : 0
  scheduled_action_name  = "warm-up"
  max_size               = -1
  desired_capacity       = -1
  autoscaling_group_name = aws_autoscaling_group.fleet.name
  min_size               = var.warm_min
  recurrence             = var.warm_start
}

resource "aws_autoscaling_schedule" "warm_down" {
  count                  = local.has_warm ? 1 : 0
  scheduled_action_name  = "warm-down"
  max_size               = -1
  desired_capacity       = -1
  autoscaling_group_name = aws_autoscaling_group.fleet.name
  min_size               = var.fleet_min
  recurrence             = var.warm_end
}
