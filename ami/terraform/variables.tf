# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

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
  validation {
    condition     = var.volume_gib >= 4
    error_message = "volume_gib must be at least 4"
  }
}

variable "fleet_min" {
  description = "Instances at least; two, one per zone, survive the loss of either"
  type        = number
  default     = 2
  validation {
    condition     = var.fleet_min >= 0
    error_message = "fleet_min must be at least 0"
  }
}

variable "fleet_max" {
  description = "Instances at most; bounds the cost"
  type        = number
  default     = 8
  validation {
    condition     = var.fleet_max >= 1
    error_message = "fleet_max must be at least 1"
  }
}

variable "cpu_target_percent" {
  description = "Scale out above this average processor use; 60 leaves room while an instance boots"
  type        = number
  default     = 60
  validation {
    condition     = var.cpu_target_percent >= 10
    error_message = "cpu_target_percent must be at least 10"
  }
  validation {
    condition     = var.cpu_target_percent <= 90
    error_message = "cpu_target_percent must be at most 90"
  }
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

variable "warm_pool_size" {
  description = "Instances kept stopped, booted once before; they serve in some thirty seconds and cost their volumes; 0 = none"
  type        = number
  default     = 0
  validation {
    condition     = var.warm_pool_size >= 0
    error_message = "warm_pool_size must be at least 0"
  }
}

variable "team_name" {
  description = "First field of every answer (team.name)"
  type        = string
  default     = "TEAMID"
  validation {
    condition     = can(regex("^(?:[^,\\s\"]{1,64})$", var.team_name))
    error_message = "team_name must match [^,\\s\"]{1,64}"
  }
}

variable "team_aws_account" {
  description = "Second field of every answer (team.aws_account)"
  type        = string
  default     = "000000000000"
  validation {
    condition     = can(regex("^(?:[0-9]{12})$", var.team_aws_account))
    error_message = "team_aws_account must match [0-9]{12}"
  }
}

variable "auth_key_parameter" {
  description = "SecureString in the Parameter Store with the auth key, 64 hex digits; empty = a random key per instance"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:(/[A-Za-z0-9_./-]+(:[0-9]+)?)?)$", var.auth_key_parameter))
    error_message = "auth_key_parameter must match (/[A-Za-z0-9_./-]+(:[0-9]+)?)?"
  }
}

variable "store_url" {
  description = "Where scripts/publish-store puts stores of /twitter, s3://BUCKET/PREFIX; empty = the one in the image"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:(s3://[a-z0-9.-]{3,63}/[A-Za-z0-9_./-]*[A-Za-z0-9_-])?)$", var.store_url))
    error_message = "store_url must match (s3://[a-z0-9.-]{3,63}/[A-Za-z0-9_./-]*[A-Za-z0-9_-])?"
  }
}

variable "server_settings" {
  description = "Settings of the server, lines of TRIDENT_NAME=VALUE; scripts/deploy --set server.KEY=VALUE makes them"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:(TRIDENT_[A-Z0-9_]+=[^\\r\\n]*\\n?)*)$", var.server_settings))
    error_message = "server_settings must match (TRIDENT_[A-Z0-9_]+=[^\\r\\n]*\\n?)*"
  }
}

variable "secrets" {
  description = "Settings that are secret, TRIDENT_NAME=/PARAMETER:VERSION with spaces between; scripts/deploy makes them too"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:(TRIDENT_[A-Z0-9_]+=/[A-Za-z0-9_./-]+(:[0-9]+)? ?)*)$", var.secrets))
    error_message = "secrets must match (TRIDENT_[A-Z0-9_]+=/[A-Za-z0-9_./-]+(:[0-9]+)? ?)*"
  }
}

variable "secret_folder" {
  description = "Folder of the Parameter Store below which instances may read secrets"
  type        = string
  default     = "/trident"
  validation {
    condition     = can(regex("^(?:(/[A-Za-z0-9_.-]+)+)$", var.secret_folder))
    error_message = "secret_folder must match (/[A-Za-z0-9_.-]+)+"
  }
}

variable "tuning" {
  description = "Knobs of docs/tuning.md that differ from their defaults, KNOB=VALUE with spaces between"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:((ring|adaptive|irq|xps|rps|busy_poll)=[a-z0-9]+ ?)*)$", var.tuning))
    error_message = "tuning must match ((ring|adaptive|irq|xps|rps|busy_poll)=[a-z0-9]+ ?)*"
  }
}

variable "vpc_id" {
  description = "Existing VPC; empty = the stack makes one with two public subnets"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:(vpc-[0-9a-f]+)?)$", var.vpc_id))
    error_message = "vpc_id must match (vpc-[0-9a-f]+)?"
  }
}

variable "subnet_ids" {
  description = "Existing subnets in at least two zones, with a way to the services that ami/README.md names; needed with vpc_id"
  type        = list(string)
  default     = []
}

variable "client_cidr" {
  description = "Who may connect to the balancer"
  type        = string
  default     = "0.0.0.0/0"
  validation {
    condition     = can(regex("^(?:[0-9.]{7,15}/[0-9]{1,2})$", var.client_cidr))
    error_message = "client_cidr must match [0-9.]{7,15}/[0-9]{1,2}"
  }
}

variable "cross_zone" {
  description = "Share the load over all zones; false costs nothing between zones, docs/sizing.md says what it gives up"
  type        = bool
  default     = true
}

variable "scheme" {
  description = "Whether the balancer has public addresses"
  type        = string
  default     = "internet-facing"
  validation {
    condition     = contains(["internet-facing", "internal"], var.scheme)
    error_message = "scheme must be one of internet-facing, internal"
  }
}

variable "prometheus_group" {
  description = "Security group that may read metrics on port 9091, and the whole admin address with them; empty = nobody"
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^(?:(sg-[0-9a-f]+)?)$", var.prometheus_group))
    error_message = "prometheus_group must match (sg-[0-9a-f]+)?"
  }
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
  validation {
    condition     = var.error_share_percent >= 0
    error_message = "error_share_percent must be at least 0"
  }
}

variable "probe_latency_ms" {
  description = "Alarm when an instance's slowest probe of its own endpoints takes longer"
  type        = number
  default     = 50
  validation {
    condition     = var.probe_latency_ms >= 1
    error_message = "probe_latency_ms must be at least 1"
  }
}

variable "log_retention_days" {
  description = "Days CloudWatch keeps the log of every instance; 0 = the log stays on the instance and goes with it"
  type        = number
  default     = 0
  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be one of 0, 1, 3, 5, 7, 14, 30, 60, 90, 180, 365"
  }
}
