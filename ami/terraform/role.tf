# Made by scripts/generate-terraform from ami/stack.yaml: change that one.

resource "aws_iam_role" "instance_role" {
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

# Shell access through Session Manager: no port, no key. The managed policy for it would also let an instance
# read every parameter of the account.
resource "aws_iam_role_policy" "shell_policy" {
  name = "shell"
  role = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
      ]
      Resource = "*"
    }]
  })
}

resource "aws_iam_role_policy" "metrics_policy" {
  name = "metrics"
  role = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "cloudwatch:PutMetricData"
      Resource  = "*"
      Condition = { StringEquals = { "cloudwatch:namespace" = "Trident" } }
    }]
  })
}

resource "aws_iam_role_policy" "lifecycle_policy" {
  name = "lifecycle"
  role = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "autoscaling:CompleteLifecycleAction"
        Resource = "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.name}"
      },
      { Effect = "Allow", Action = "elasticloadbalancing:DescribeTargetHealth", Resource = "*" },
    ]
  })
}

resource "aws_iam_role_policy" "auth_key_policy" {
  count = local.has_auth_key ? 1 : 0
  name  = "auth-key"
  role  = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "ssm:GetParameter"
      Resource = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${split(":", var.auth_key_parameter)[0]}"
    }]
  })
}

resource "aws_iam_role_policy" "secret_policy" {
  count = local.has_secrets ? 1 : 0
  name  = "secrets"
  role  = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "ssm:GetParameter"
      Resource = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.secret_folder}/*"
    }]
  })
}

resource "aws_iam_role_policy" "store_policy" {
  count = local.has_store ? 1 : 0
  name  = "store"
  role  = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = "s3:GetObject"
        Resource = [
          "arn:${local.partition}:s3:::${split("s3://", "${var.store_url}s3://")[1]}/pointer.json",
          "arn:${local.partition}:s3:::${split("s3://", "${var.store_url}s3://")[1]}/stores/*",
        ]
      },
      {
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "arn:${local.partition}:s3:::${split("s3://", "${var.store_url}s3://")[1]}/instances/*"
      },
    ]
  })
}

resource "aws_iam_role_policy" "log_policy" {
  count = local.has_logs ? 1 : 0
  name  = "logs"
  role  = aws_iam_role.instance_role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/trident/${var.name}:*"
    }]
  })
}

resource "aws_iam_instance_profile" "instance_profile" {
  role = aws_iam_role.instance_role.name
}
