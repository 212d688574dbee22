# The parameters of ami/stack.yaml, under the same names in Terraform's spelling. scripts/test-ops compares them.

variable "name" {
  description = "Name of everything; the stack's name in CloudFormation"
  type        = string
  default     = "trident"
}

variable "image_id" {
  description = "AMI made by scripts/bake, for the processor of instance_type"
  type        = string
}

variable "instance_type" {
  description = "docs/sizing.md says how to choose"
  type        = string
  default     = "c8g.large"
}

variable "volume_encrypted" {
  description = "Encrypt the root volume with the account's default key"
  type        = bool
  default     = true
}

variable "volume_gib" {
  description = "Root volume; the store of /twitter must fit twice"
  type        = number
  default     = 8
}

variable "fleet_min" {
  description = "Instances at least; two, one per zone, survive the loss of either"
  type        = number
  default     = 2
}

variable "fleet_max" {
  description = "Instances at most; bounds the cost"
  type        = number
  default     = 8
}

variable "cpu_target_percent" {
  description = "Scale out above this average processor use; 60 leaves room while an instance boots"
  type        = number
  default     = 60
}

variable "warm_min" {
  description = "Instances at least between warm_start and warm_end; 0 = no schedule"
  type        = number
  default     = 0
}

variable "warm_start" {
  description = "Cron expression (UTC), before the load comes"
  type        = string
  default     = "30 12 * * *"
}

variable "warm_end" {
  description = "Cron expression (UTC), after it"
  type        = string
  default     = "30 20 * * *"
}

variable "team_name" {
  description = "First field of every answer (team.name)"
  type        = string
  default     = "TEAMID"
}

variable "team_aws_account" {
  description = "Second field of every answer (team.aws_account)"
  type        = string
  default     = "000000000000"
}

variable "auth_key_parameter" {
  description = "SecureString in the Parameter Store with the auth key, 64 hex digits; empty = a random key per instance"
  type        = string
  default     = ""
}

variable "store_url" {
  description = "Snapshot of the store of /twitter (trident store snapshot, tar.zst); empty = the one in the image"
  type        = string
  default     = ""
}

variable "vpc_id" {
  description = "Existing VPC; empty = the stack makes one with two public subnets"
  type        = string
  default     = ""
}

variable "subnet_ids" {
  description = "Existing subnets in at least two zones, with a way to SSM, S3, Auto Scaling and CloudWatch; needed with vpc_id"
  type        = list(string)
  default     = []
}

variable "client_cidr" {
  description = "Who may connect to the balancer"
  type        = string
  default     = "0.0.0.0/0"
}

variable "scheme" {
  description = "Whether the balancer has public addresses"
  type        = string
  default     = "internet-facing"
}

variable "alarm_email" {
  description = "Address alarms are sent to; empty = they only show in the dashboard"
  type        = string
  default     = ""
}

variable "error_share_percent" {
  description = "Alarm above this share of requests that were refused or failed"
  type        = number
  default     = 1
}

variable "probe_latency_ms" {
  description = "Alarm when an instance's slowest probe of its own endpoints takes longer"
  type        = number
  default     = 50
}
