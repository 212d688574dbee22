# scripts/deploy and scripts/roll work on the CloudFormation stack. Here a new image is `terraform apply` with another
# image_id, which reaches new instances, and `aws autoscaling start-instance-refresh`, which reaches those that run.
# An apply in the warm hours sets min_size back.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.73"
    }
  }
}
