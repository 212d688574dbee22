# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

resource "aws_cloudwatch_log_group" "logs" {
  count             = local.has_logs ? 1 : 0
  name              = "/trident/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_sns_topic" "alarm_topic" {
  count = local.has_email ? 1 : 0
}

resource "aws_sns_topic_subscription" "alarm_topic_subscription" {
  count     = local.has_email ? 1 : 0
  topic_arn = aws_sns_topic.alarm_topic[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  alarms = {
    unhealthy_targets = {
      alarm_description = "A target fails its health check. See ami/README.md, alarms."
      namespace         = "AWS/NetworkELB"
      metric_name       = "UnHealthyHostCount"
      dimensions        = { LoadBalancer = aws_lb.balancer.arn_suffix, TargetGroup = aws_lb_target_group.target_group.arn_suffix }
      threshold         = 0
    }
    too_few_targets = {
      alarm_description   = "Fewer targets are healthy than the fleet has at least. See ami/README.md, alarms."
      namespace           = "AWS/NetworkELB"
      metric_name         = "HealthyHostCount"
      dimensions          = { LoadBalancer = aws_lb.balancer.arn_suffix, TargetGroup = aws_lb_target_group.target_group.arn_suffix }
      statistic           = "Minimum"
      evaluation_periods  = 3
      threshold           = var.fleet_min
      comparison_operator = "LessThanThreshold"
      treat_missing_data  = "breaching"
    }
    error_share = {
      alarm_description = "Share of requests refused or failed. See ami/README.md, alarms."
      metric_name       = "ErrorSharePercent"
      threshold         = var.error_share_percent
    }
    latency = {
      alarm_description = "An instance answers its own probes slowly. See ami/README.md, alarms."
      metric_name       = "ProbeLatencyMs"
      threshold         = var.probe_latency_ms
    }
    allowance_exceeded = {
      alarm_description = "The machine's network allowance drops or delays packets. See ami/README.md, alarms."
      metric_name       = "AllowanceExceededPackets"
      statistic         = "Sum"
      threshold         = 0
    }
    store_failed = {
      alarm_description  = "An instance cannot take the published store. See ami/README.md, new data."
      metric_name        = "StoreFailed"
      evaluation_periods = 3
      threshold          = 0
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.alarm_description
  namespace           = try(each.value.namespace, "Trident")
  metric_name         = each.value.metric_name
  dimensions          = try(each.value.dimensions, { Fleet = var.name })
  statistic           = try(each.value.statistic, "Maximum")
  period              = 60
  evaluation_periods  = try(each.value.evaluation_periods, 2)
  threshold           = each.value.threshold
  comparison_operator = try(each.value.comparison_operator, "GreaterThanThreshold")
  treat_missing_data  = try(each.value.treat_missing_data, "notBreaching")
  alarm_actions       = local.has_email ? [aws_sns_topic.alarm_topic[0].arn] : null
}

# Instances tell what they serve as a number: whether all tell the same one for more than ten minutes.
resource "aws_cloudwatch_metric_alarm" "store_disagreement" {
  alarm_name        = "${var.name}-store-disagreement"
  alarm_description = "Instances have served different data for more than ten minutes. See ami/README.md, new data."
  metric_query {
    id          = "difference"
    expression  = "greatest - least"
    label       = "Instances serve different data"
    return_data = true
  }
  metric_query {
    id = "greatest"
    metric {
      namespace   = "Trident"
      metric_name = "StoreData"
      dimensions  = { Fleet = var.name }
      period      = 60
      stat        = "Maximum"
    }
    return_data = false
  }
  metric_query {
    id = "least"
    metric {
      namespace   = "Trident"
      metric_name = "StoreData"
      dimensions  = { Fleet = var.name }
      period      = 60
      stat        = "Minimum"
    }
    return_data = false
  }
  evaluation_periods  = 11
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.has_email ? [aws_sns_topic.alarm_topic[0].arn] : null
}

resource "aws_cloudwatch_dashboard" "dashboard" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      {
        type   = "metric"
        x      = 0
        y      = 0
        width  = 12
        height = 6
        properties = {
          title   = "Requests per second, fleet"
          region  = local.region
          stat    = "Sum"
          period  = 60
          metrics = [["Trident", "RequestsPerSecond", "Fleet", var.name]]
        }
      },
      {
        type   = "metric"
        x      = 12
        y      = 0
        width  = 12
        height = 6
        properties = {
          title   = "Errors, % of requests, worst instance"
          region  = local.region
          stat    = "Maximum"
          period  = 60
          metrics = [["Trident", "ErrorSharePercent", "Fleet", var.name]]
        }
      },
      {
        type   = "metric"
        x      = 0
        y      = 6
        width  = 12
        height = 6
        properties = {
          title   = "Slowest probe, and 99 of 100 requests, of the worst instance, ms"
          region  = local.region
          stat    = "Maximum"
          period  = 60
          metrics = [["Trident", "ProbeLatencyMs", "Fleet", var.name], ["Trident", "RequestP99Ms", "Fleet", var.name]]
        }
      },
      {
        type   = "metric"
        x      = 12
        y      = 6
        width  = 12
        height = 6
        properties = {
          title  = "Processor use and instances"
          region = local.region
          period = 60
          metrics = [
            ["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", var.name],
            ["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", var.name, { yAxis = "right" }],
          ]
        }
      },
      {
        type   = "metric"
        x      = 0
        y      = 12
        width  = 12
        height = 6
        properties = {
          title  = "Targets"
          region = local.region
          stat   = "Maximum"
          period = 60
          metrics = [
            [
              "AWS/NetworkELB",
              "HealthyHostCount",
              "TargetGroup",
              aws_lb_target_group.target_group.arn_suffix,
              "LoadBalancer",
              aws_lb.balancer.arn_suffix,
            ],
            [
              "AWS/NetworkELB",
              "UnHealthyHostCount",
              "TargetGroup",
              aws_lb_target_group.target_group.arn_suffix,
              "LoadBalancer",
              aws_lb.balancer.arn_suffix,
            ],
          ]
        }
      },
      {
        type   = "metric"
        x      = 12
        y      = 12
        width  = 12
        height = 6
        properties = {
          title   = "Packets over the network allowance"
          region  = local.region
          stat    = "Sum"
          period  = 60
          metrics = [["Trident", "AllowanceExceededPackets", "Fleet", var.name]]
        }
      },
      {
        type   = "metric"
        x      = 0
        y      = 18
        width  = 12
        height = 6
        properties = {
          title  = "Data served, as a number: one line when all agree"
          region = local.region
          period = 60
          metrics = [
            ["Trident", "StoreData", "Fleet", var.name, { stat = "Maximum", label = "greatest" }],
            ["Trident", "StoreData", "Fleet", var.name, { stat = "Minimum", label = "least" }],
          ]
        }
      },
      {
        type   = "metric"
        x      = 12
        y      = 18
        width  = 12
        height = 6
        properties = {
          title   = "Instances that cannot take the published store"
          region  = local.region
          stat    = "Sum"
          period  = 60
          metrics = [["Trident", "StoreFailed", "Fleet", var.name]]
        }
      },
    ]
  })
}
