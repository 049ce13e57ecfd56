# The sidecar from several inputs, for checkers that register task definitions. Needs no provider.
locals {
  config = {
    vault = { address = "https://vault.example.com:8200", namespace = "admin" }
    auth  = { method = "aws_iam", role = "product-api" }
    outputs = [{
      destination = "/config/conf.json"
      template    = "{{ with secret \"a/b\" }}<&>{{ end }}"
    }]
  }
  tutorial = {
    vault_address    = "https://vault.example.com:8200"
    vault_namespace  = "admin"
    vault_role       = "learn-product-api"
    template         = "{}"
    target_file_name = "conf.json"
  }
}

module "plain" {
  source = "../../modules/sidecar"
  image  = "leasekeeper:1.0.0"
  config = local.config
}

module "everything" {
  source            = "../../modules/sidecar"
  image             = "leasekeeper:1.0.0"
  config            = local.config
  efs               = { file_system_id = "fs-01234567", access_point_id = "fsap-01234567" }
  state_kms_key_id  = "alias/leasekeeper"
  metrics           = true
  environment       = { LEASEKEEPER_PROBE__INTERVAL = "10s" }
  secrets           = { VAULT_CACERT_BYTES = "arn:aws:ssm:us-east-1:123456789012:parameter/ca" }
  log_configuration = { logDriver = "awslogs", options = { awslogs-group = "/ecs/app" } }
}

module "tutorial" {
  source   = "../../modules/sidecar"
  image    = "leasekeeper:1.0.0"
  tutorial = local.tutorial
}

module "once" {
  source    = "../../modules/sidecar"
  image     = "leasekeeper:1.0.0"
  directory = "/secrets"
  tutorial  = merge(local.tutorial, { exit_after_auth = true })
}

output "all" {
  value = {
    plain      = module.plain
    everything = module.everything
    tutorial   = module.tutorial
    once       = module.once
  }
}
