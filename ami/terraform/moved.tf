# What earlier versions of the module called the same resources.

moved {
  from = aws_cloudwatch_metric_alarm.unhealthy_targets
  to   = aws_cloudwatch_metric_alarm.alarms["unhealthy_targets"]
}

moved {
  from = aws_cloudwatch_metric_alarm.too_few_targets
  to   = aws_cloudwatch_metric_alarm.alarms["too_few_targets"]
}

moved {
  from = aws_cloudwatch_metric_alarm.error_share
  to   = aws_cloudwatch_metric_alarm.alarms["error_share"]
}

moved {
  from = aws_cloudwatch_metric_alarm.latency
  to   = aws_cloudwatch_metric_alarm.alarms["latency"]
}

moved {
  from = aws_cloudwatch_metric_alarm.allowance_exceeded
  to   = aws_cloudwatch_metric_alarm.alarms["allowance_exceeded"]
}

moved {
  from = aws_sns_topic_subscription.alarm_mail
  to   = aws_sns_topic_subscription.alarm_topic_subscription
}
