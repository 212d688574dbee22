# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_availability_zones" "zones" {
  state = "available"
}

locals {
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  account   = data.aws_caller_identity.current.account_id
}

locals {
  make_network   = var.vpc_id == ""
  has_auth_key   = var.auth_key_parameter != ""
  has_secrets    = var.secrets != ""
  has_store      = var.store_url != ""
  has_prometheus = var.prometheus_group != ""
  has_logs       = var.log_retention_days != 0
  has_warm_pool  = var.warm_pool_size != 0
  has_email      = var.alarm_email != ""
  has_warm       = var.warm_min != 0
}
