# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

output "url" {
  description = "Where it serves"
  value       = "http://${aws_lb.balancer.dns_name}"
}

output "fleet_name" {
  description = "The auto scaling group"
  value       = aws_autoscaling_group.fleet.name
}

output "target_group_arn" {
  description = "For describe-target-health"
  value       = aws_lb_target_group.target_group.arn
}

output "launch_template_id" {
  description = "What instances are made from"
  value       = aws_launch_template.launch_template.id
}
