# Every IAM document of this folder, as text: no provider, so that checkers can read what would be
# attached. Logging in to Vault needs no permission at all: sts:GetCallerIdentity is always allowed.
terraform {
  required_version = ">= 1.9"
}

variable "account_id" {
  description = "Account of the tasks."
  type        = string
}

variable "region" {
  description = "Region of the tasks."
  type        = string
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

variable "efs" {
  description = "What the task may mount and write: one file system through one access point."
  type = object({
    file_system_arn  = string
    access_point_arn = string
  })
  default = null
}

variable "state" {
  description = "The KMS key (ARN) that encrypts the state, for this Vault (the vault.address of the configuration) only."
  type = object({
    kms_key_arn   = string
    vault_address = string
  })
  default = null

  validation {
    condition     = var.state == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^*]+$", var.state.kms_key_arn))
    error_message = "kms_key_arn has to be the ARN of one key: an alias in a policy means the alias and not the key."
  }
}

variable "task_role_arn" {
  description = "For the file system's policy: who may mount it."
  type        = string
  default     = null
}

variable "log_group_arn" {
  description = "For the execution role: where the containers log."
  type        = string
  default     = null
}

variable "ecr_repository_arns" {
  description = "For the execution role: repositories of the images, when they are in ECR."
  type        = list(string)
  default     = []
}

variable "secret_arns" {
  description = "For the execution role: secrets of Secrets Manager that the task definition names."
  type        = list(string)
  default     = []
}

locals {
  efs_actions = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]

  task_statements = concat(
    var.efs == null ? [] : [{
      Sid       = "FilesOfThisAccessPoint"
      Effect    = "Allow"
      Action    = local.efs_actions
      Resource  = var.efs.file_system_arn
      Condition = { ArnEquals = { "elasticfilesystem:AccessPointArn" = var.efs.access_point_arn } }
    }],
    var.state == null ? [] : [{
      Sid      = "DataKeyOfTheState"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = var.state.kms_key_arn
      # The context that Leasekeeper has KMS authenticate: it names the Vault that the state is of.
      Condition = { StringEquals = { "kms:EncryptionContext:leasekeeper:vault" = var.state.vault_address } }
    }],
  )

  execution_statements = concat(
    var.log_group_arn == null ? [] : [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${var.log_group_arn}:log-stream:*"
    }],
    length(var.ecr_repository_arns) == 0 ? [] : [{
      Sid      = "PullImages"
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = var.ecr_repository_arns
    }],
    # The one action that IAM allows on everything or on nothing.
    length(var.ecr_repository_arns) == 0 ? [] : [{
      Sid      = "LogInToEcr"
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"]
      Resource = "*"
    }],
    length(var.secret_arns) == 0 ? [] : [{
      Sid      = "ReadSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = var.secret_arns
    }],
  )
}

output "trust" {
  description = "Who may take the role: ECS tasks of this account and region."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${var.partition}:ecs:${var.region}:${var.account_id}:*" }
      }
    }]
  })
}

output "task" {
  description = "Policy of the task role; null when it needs none."
  value       = length(local.task_statements) == 0 ? null : jsonencode({ Version = "2012-10-17", Statement = local.task_statements })
}

output "execution" {
  description = "Policy of the execution role; null when it needs none."
  value       = length(local.execution_statements) == 0 ? null : jsonencode({ Version = "2012-10-17", Statement = local.execution_statements })
}

output "file_system" {
  description = "Policy of the EFS file system: the task role, through its access point, by TLS; nobody else. null without efs and task_role_arn."
  value = var.efs == null || var.task_role_arn == null ? null : jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheTaskThroughItsAccessPoint"
        Effect    = "Allow"
        Principal = { AWS = var.task_role_arn }
        Action    = local.efs_actions
        Resource  = var.efs.file_system_arn
        Condition = { ArnEquals = { "elasticfilesystem:AccessPointArn" = var.efs.access_point_arn } }
      },
      {
        Sid       = "NothingWithoutTls"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = concat(local.efs_actions, ["elasticfilesystem:ClientRootAccess"])
        Resource  = var.efs.file_system_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
