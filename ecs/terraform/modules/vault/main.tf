# What Vault has to know: who logs in, what it may read, and how database credentials are made.
terraform {
  required_version = ">= 1.9"
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  description = "Name of Vault's role and policy."
  type        = string
}

variable "task_role_arn" {
  description = "ARN of the task role (not of the execution role)."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:iam::[0-9]{12}:role/[^*]+$", var.task_role_arn))
    error_message = "task_role_arn has to be the full ARN of one role; a wildcard lets everybody in who may make roles."
  }
}

variable "policy" {
  description = "Text of the policy, as `leasekeeper policy` prints it for the sidecar's configuration."
  type        = string

  validation {
    condition     = strcontains(var.policy, "path \"")
    error_message = "policy has to be the text of a Vault policy, with at least one path."
  }
}

variable "auth_mount" {
  description = "Path of the aws auth method. null makes one at \"aws\"."
  type        = string
  default     = null
}

variable "resolve_aws_unique_ids" {
  description = <<-TEXT
    true: Vault looks the role up in IAM and binds its unique id, so a role that is deleted and made
    again under the same name is not let in. It needs AWS credentials of its own with iam:GetRole.
    false: the name decides. For HCP Vault, and when Vault has no access to the tasks' account; then
    whoever may create the role of that name may log in.
  TEXT
  type        = bool
}

variable "sts" {
  description = "The STS that Vault asks, and the server id it insists on; the sidecar's auth.sts_region and auth.server_id have to agree. Used when auth_mount is null."
  type = object({
    endpoint  = optional(string)
    region    = optional(string)
    server_id = optional(string)
  })
  default = {}
}

variable "token_ttl" {
  description = "Seconds. At least the default TTL of the leases, which end with their token."
  type        = number
  default     = 3600
}

variable "token_period" {
  description = "Seconds; a token of a period is renewed for ever, so its leases live to their own max TTL. 0: token_max_ttl applies."
  type        = number
  default     = 3600
}

variable "token_max_ttl" {
  description = "Seconds; 0 is Vault's own maximum. Not together with token_period."
  type        = number
  default     = 0

  validation {
    condition     = var.token_period == 0 || var.token_max_ttl == 0
    error_message = "Choose token_period or token_max_ttl."
  }
}

variable "database" {
  description = "The PostgreSQL server and the account with which Vault makes others. Rotate its password at once: vault write -f MOUNT/rotate-root/NAME."
  type = object({
    mount       = optional(string, "database")
    name        = string
    host        = string
    port        = optional(number, 5432)
    dbname      = string
    username    = string
    password    = string
    sslmode     = optional(string, "verify-full")
    default_ttl = optional(number, 3600)
    max_ttl     = optional(number, 86400)
    creation_statements = optional(list(string), [
      "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
      "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";",
    ])
    revocation_statements = optional(list(string), [
      "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM \"{{name}}\";",
      "DROP ROLE IF EXISTS \"{{name}}\";",
    ])
  })
  sensitive = true
  default   = null
}

locals {
  mount = var.auth_mount != null ? var.auth_mount : one(vault_auth_backend.aws[*].path)
  # Whether there is a database is no secret, and count must not be one.
  with_database = nonsensitive(var.database != null)
}

resource "vault_auth_backend" "aws" {
  count = var.auth_mount == null ? 1 : 0
  type  = "aws"
  path  = "aws"
}

resource "vault_aws_auth_backend_client" "sts" {
  count                      = var.auth_mount == null ? 1 : 0
  backend                    = vault_auth_backend.aws[0].path
  sts_endpoint               = var.sts.endpoint
  sts_region                 = var.sts.region
  iam_server_id_header_value = var.sts.server_id
}

resource "vault_policy" "task" {
  name   = var.name
  policy = var.policy
}

resource "vault_aws_auth_backend_role" "task" {
  backend                  = local.mount
  role                     = var.name
  auth_type                = "iam"
  bound_iam_principal_arns = [var.task_role_arn]
  resolve_aws_unique_ids   = var.resolve_aws_unique_ids
  token_policies           = [vault_policy.task.name]
  token_ttl                = var.token_ttl
  token_max_ttl            = var.token_max_ttl
  token_period             = var.token_period
}

resource "vault_mount" "database" {
  count = local.with_database ? 1 : 0
  path  = nonsensitive(var.database.mount)
  type  = "database"
}

resource "vault_database_secret_backend_connection" "database" {
  count         = local.with_database ? 1 : 0
  backend       = vault_mount.database[0].path
  name          = var.database.name
  allowed_roles = [var.database.name]

  postgresql {
    connection_url = "postgresql://{{username}}:{{password}}@${var.database.host}:${var.database.port}/${var.database.dbname}?sslmode=${var.database.sslmode}"
    username       = var.database.username
    password       = var.database.password
  }
}

resource "vault_database_secret_backend_role" "database" {
  count                 = local.with_database ? 1 : 0
  backend               = vault_mount.database[0].path
  name                  = var.database.name
  db_name               = vault_database_secret_backend_connection.database[0].name
  creation_statements   = var.database.creation_statements
  revocation_statements = var.database.revocation_statements
  default_ttl           = var.database.default_ttl
  max_ttl               = var.database.max_ttl
}

output "role" {
  description = "Role to log in with: auth.role."
  value       = vault_aws_auth_backend_role.task.role
}

output "auth_mount" {
  description = "Mount of the auth method: auth.mount."
  value       = local.mount
}

output "credentials_path" {
  description = "Path of the database credentials, for a template; null without a database."
  value       = local.with_database ? "${vault_mount.database[0].path}/creds/${vault_database_secret_backend_role.database[0].name}" : null
  sensitive   = true
}
