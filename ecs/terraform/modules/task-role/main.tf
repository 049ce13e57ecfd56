# The role of the task: what Vault sees, and all that the sidecar may do in AWS.
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "name" {
  description = "Name of the role."
  type        = string
}

variable "efs" {
  description = "File system and access point (outputs of modules/efs); null for a volume of the task."
  type = object({
    file_system_arn  = string
    access_point_arn = string
  })
  default = null
}

variable "state" {
  description = "The KMS key that encrypts the state, and the Vault it is for; null without state."
  type = object({
    kms_key_arn   = string
    vault_address = string
  })
  default = null
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}

data "aws_caller_identity" "here" {}
data "aws_region" "here" {}
data "aws_partition" "here" {}

module "policies" {
  source     = "../policies"
  account_id = data.aws_caller_identity.here.account_id
  region     = data.aws_region.here.region
  partition  = data.aws_partition.here.partition
  efs        = var.efs
  state      = var.state
}

resource "aws_iam_role" "task" {
  name               = var.name
  description        = "ECS task with Leasekeeper; logs in to Vault"
  assume_role_policy = module.policies.trust
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  # Known before the ARNs are: whether there is a policy must not depend on what is in it.
  count  = var.efs == null && var.state == null ? 0 : 1
  name   = "leasekeeper"
  role   = aws_iam_role.task.id
  policy = module.policies.task
}

output "arn" {
  description = "ARN of the role, for the task definition and for Vault."
  value       = aws_iam_role.task.arn
}

output "name" {
  description = "Name of the role."
  value       = aws_iam_role.task.name
}
