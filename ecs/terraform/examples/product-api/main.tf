# HashiCorp's tutorial "Manage secrets with Vault Agent on ECS", for production: cluster, load
# balancer, database, Vault's configuration, and a task in which Leasekeeper keeps the application's
# database credentials fresh.
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.0"
    }
  }
}

provider "aws" {
  region = var.region
}

# VAULT_ADDR, VAULT_TOKEN and VAULT_NAMESPACE of whoever runs this.
provider "vault" {}

locals {
  port = 9090

  config = {
    vault = { address = var.vault_address, namespace = var.vault_namespace }
    auth  = { method = "aws_iam", role = module.vault.role, mount = module.vault.auth_mount }
    outputs = [{
      # In a group when tasks share the file: see docs/efs.md.
      destination = var.share_files ? "/config/product/conf.json" : "/config/conf.json"
      validate    = "json"
      template = templatefile("${path.module}/conf.json.tftpl", {
        credentials_path = "database/creds/product"
        database_host    = aws_db_instance.products.address
        port             = local.port
      })
    }]
    groups = var.share_files ? [{ link = "/config/product" }] : []
    shared = { directory = var.share_files ? "/config/.leasekeeper" : null }
  }
}

module "task_role" {
  source = "../../modules/task-role"
  name   = var.name
  efs    = var.share_files ? module.efs[0].arns : null
  state  = var.state_kms_key_arn == null ? null : { kms_key_arn = var.state_kms_key_arn, vault_address = var.vault_address }
}

module "efs" {
  count                  = var.share_files ? 1 : 0
  source                 = "../../modules/efs"
  name                   = var.name
  vpc_id                 = var.vpc_id
  subnet_ids             = var.private_subnet_ids
  client_security_groups = { tasks = aws_security_group.tasks.id }
  task_role_arn          = module.task_role.arn
}

module "vault" {
  source                 = "../../modules/vault"
  name                   = var.name
  task_role_arn          = module.task_role.arn
  resolve_aws_unique_ids = var.resolve_aws_unique_ids
  policy                 = file("${path.module}/policy.hcl")
  database = {
    name     = "product"
    host     = aws_db_instance.products.address
    dbname   = aws_db_instance.products.db_name
    username = var.database_username
    password = var.database_password
  }
}

module "sidecar" {
  source           = "../../modules/sidecar"
  image            = var.leasekeeper_image
  config           = local.config
  efs              = var.share_files ? module.efs[0].volume : null
  state_kms_key_id = var.state_kms_key_arn
  metrics          = var.prometheus_security_group_id != null
  log_configuration = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.task.name
      awslogs-region        = var.region
      awslogs-stream-prefix = "leasekeeper"
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "task" {
  #checkov:skip=CKV_AWS_158:no secret value is logged; log_kms_key_arn is for those who want a key of their own
  name              = "/ecs/${var.name}"
  retention_in_days = 365
  kms_key_id        = var.log_kms_key_arn
}

module "execution_policies" {
  source              = "../../modules/policies"
  account_id          = data.aws_caller_identity.here.account_id
  region              = var.region
  log_group_arn       = aws_cloudwatch_log_group.task.arn
  ecr_repository_arns = var.ecr_repository_arns
}

data "aws_caller_identity" "here" {}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  description        = "ECS itself, for ${var.name}: images and logs"
  assume_role_policy = module.execution_policies.trust
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = module.execution_policies.execution
}

resource "aws_ecs_task_definition" "product_api" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  task_role_arn            = module.task_role.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([
    module.sidecar.container_definition,
    {
      name                   = "product-api"
      image                  = var.application_image
      essential              = true
      user                   = "10001:10001"
      readonlyRootFilesystem = true
      dependsOn              = module.sidecar.depends_on
      mountPoints            = [module.sidecar.application_mount_point]
      portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
      environment            = [{ name = "CONFIG_FILE", value = local.config.outputs[0].destination }]
      stopTimeout            = 30
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.task.name
          awslogs-region        = var.region
          awslogs-stream-prefix = "product-api"
        }
      }
    },
  ])

  dynamic "volume" {
    for_each = { for each in module.sidecar.volumes : each.name => each.efs }
    content {
      name = volume.key
      dynamic "efs_volume_configuration" {
        for_each = volume.value == null ? [] : [volume.value]
        content {
          file_system_id     = efs_volume_configuration.value.file_system_id
          transit_encryption = "ENABLED"
          authorization_config {
            access_point_id = efs_volume_configuration.value.access_point_id
            iam             = "ENABLED"
          }
        }
      }
    }
  }
}

resource "aws_ecs_service" "product_api" {
  name                              = var.name
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.product_api.arn
  desired_count                     = var.desired_count
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  health_check_grace_period_seconds = 120
  propagate_tags                    = "SERVICE"

  # A start that cannot succeed ends with a reason; after a few of them ECS goes back.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.product_api.arn
    container_name   = "product-api"
    container_port   = local.port
  }

  # The first login needs the role in Vault.
  depends_on = [aws_lb_listener.https, module.vault]
}
