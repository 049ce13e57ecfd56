variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Name of everything here, and of Vault's role and policy."
  type        = string
  default     = "product-api"
}

# The network is there already.

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of tasks and database, one for each availability zone, with a way to Vault, ECR, CloudWatch Logs."
  type        = set(string)
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer."
  type        = set(string)
}

variable "client_cidr_blocks" {
  description = "Who may call the application."
  type        = list(string)
}

variable "vault_cidr_blocks" {
  description = "Where Vault connects to the database from."
  type        = list(string)
}

variable "certificate_arn" {
  description = "Certificate (ACM) of the load balancer."
  type        = string
}

variable "prometheus_security_group_id" {
  description = "Security group of whatever scrapes /metrics; null: nobody outside the task can."
  type        = string
  default     = null
}

# Images.

variable "leasekeeper_image" {
  description = "Image of Leasekeeper (make image), by digest or by a tag that never moves."
  type        = string
}

variable "application_image" {
  description = "Image of the application. Whatever it is, it reads /config/conf.json as user 10001."
  type        = string
  default     = "hashicorpdemoapp/product-api:v0.0.19"
}

variable "ecr_repository_arns" {
  description = "Repositories of these images, as far as they are in ECR."
  type        = list(string)
  default     = []
}

# Vault.

variable "vault_address" {
  description = "URL of Vault, as tasks reach it."
  type        = string
}

variable "vault_namespace" {
  description = "Namespace; \"\" without (\"admin\" with HCP Vault)."
  type        = string
  default     = ""
}

variable "resolve_aws_unique_ids" {
  description = "See modules/vault. false for HCP Vault."
  type        = bool
  default     = true
}

# Choices.

variable "desired_count" {
  description = "Tasks. More than one with share_files means one lease for all of them."
  type        = number
  default     = 1
}

variable "share_files" {
  description = "Files on EFS, written by one task for all. Off: each task has its own files and its own credentials."
  type        = bool
  default     = false
}

variable "state_kms_key_arn" {
  description = "KMS key of the state, so that a restart of the sidecar makes no new credentials; null: no state."
  type        = string
  default     = null
}

variable "log_kms_key_arn" {
  description = "KMS key of the log group; null for the key that AWS manages."
  type        = string
  default     = null
}

variable "database_username" {
  description = "Account with which Vault makes others."
  type        = string
  default     = "vault"
}

variable "database_password" {
  description = "Its first password. It is in Terraform's state: have Vault rotate it at once (output next_step)."
  type        = string
  sensitive   = true
}
