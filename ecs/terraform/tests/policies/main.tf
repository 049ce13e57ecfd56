# Everything that modules/policies can be asked for, for checkers that read policies. Needs no provider.
locals {
  account = "123456789012"
}

module "policies" {
  source     = "../../modules/policies"
  account_id = local.account
  region     = "us-east-1"
  efs = {
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:${local.account}:file-system/fs-01234567"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:${local.account}:access-point/fsap-01234567"
  }
  state = {
    kms_key_arn   = "arn:aws:kms:us-east-1:${local.account}:key/1234abcd"
    vault_address = "https://vault.example.com:8200"
  }
  task_role_arn       = "arn:aws:iam::${local.account}:role/product-api"
  log_group_arn       = "arn:aws:logs:us-east-1:${local.account}:log-group:/ecs/product-api"
  ecr_repository_arns = ["arn:aws:ecr:us-east-1:${local.account}:repository/leasekeeper"]
  secret_arns         = ["arn:aws:secretsmanager:us-east-1:${local.account}:secret:state-key"]
}

output "all" {
  value = module.policies
}
