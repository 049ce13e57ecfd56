# A file system for secrets that several tasks share. One task needs none of this: its own volume is
# simpler and ends with it.
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
  description = "Name of everything here."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
}

variable "subnet_ids" {
  description = "One subnet for each availability zone in which tasks run."
  type        = set(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "A file system without a mount target cannot be mounted."
  }
}

variable "client_security_groups" {
  description = "Security groups of the tasks, by any name."
  type        = map(string)
}

variable "task_role_arn" {
  description = "Role that may mount the file system."
  type        = string
}

variable "uid" {
  description = "User and group of every file, whoever writes it: the image's."
  type        = number
  default     = 10001
}

variable "path" {
  description = "Folder of the access point; made at the first mount."
  type        = string
  default     = "/leasekeeper"
}

variable "kms_key_arn" {
  description = "Key of the encryption at rest; null for the key that AWS manages."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything here."
  type        = map(string)
  default     = {}
}

data "aws_caller_identity" "here" {}
data "aws_region" "here" {}
data "aws_partition" "here" {}

resource "aws_efs_file_system" "files" {
  creation_token = var.name
  encrypted      = true
  kms_key_id     = var.kms_key_arn
  tags           = merge(var.tags, { Name = var.name })
}

# A backup of a credential outlives the credential, and is one more place to read it.
resource "aws_efs_backup_policy" "none" {
  file_system_id = aws_efs_file_system.files.id
  backup_policy {
    status = "DISABLED"
  }
}

resource "aws_efs_access_point" "files" {
  file_system_id = aws_efs_file_system.files.id
  tags           = merge(var.tags, { Name = var.name })

  # Every client of the access point is this user, so the application reads what the sidecar wrote.
  posix_user {
    uid = var.uid
    gid = var.uid
  }
  root_directory {
    path = var.path
    creation_info {
      owner_uid   = var.uid
      owner_gid   = var.uid
      permissions = "0750"
    }
  }
}

module "policies" {
  source        = "../policies"
  account_id    = data.aws_caller_identity.here.account_id
  region        = data.aws_region.here.region
  partition     = data.aws_partition.here.partition
  task_role_arn = var.task_role_arn
  efs = {
    file_system_arn  = aws_efs_file_system.files.arn
    access_point_arn = aws_efs_access_point.files.arn
  }
}

resource "aws_efs_file_system_policy" "files" {
  file_system_id = aws_efs_file_system.files.id
  policy         = module.policies.file_system
}

resource "aws_security_group" "files" {
  name        = "${var.name}-efs"
  description = "NFS from the tasks that share secrets"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-efs" })
}

resource "aws_vpc_security_group_ingress_rule" "nfs" {
  for_each                     = var.client_security_groups
  security_group_id            = aws_security_group.files.id
  description                  = "NFS from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "files" {
  for_each        = var.subnet_ids
  file_system_id  = aws_efs_file_system.files.id
  subnet_id       = each.value
  security_groups = [aws_security_group.files.id]
}

output "volume" {
  description = "For modules/sidecar: efs."
  value = {
    file_system_id  = aws_efs_file_system.files.id
    access_point_id = aws_efs_access_point.files.id
  }
  # A task that starts before the targets are there cannot mount.
  depends_on = [aws_efs_mount_target.files, aws_efs_file_system_policy.files]
}

output "arns" {
  description = "For modules/task-role: efs."
  value = {
    file_system_arn  = aws_efs_file_system.files.arn
    access_point_arn = aws_efs_access_point.files.arn
  }
}
