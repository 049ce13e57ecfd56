mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
  }
}
mock_provider "vault" {}

variables {
  vpc_id             = "vpc-1"
  private_subnet_ids = ["subnet-1", "subnet-2"]
  public_subnet_ids  = ["subnet-3", "subnet-4"]
  client_cidr_blocks = ["192.0.2.0/24"]
  vault_cidr_blocks  = ["198.51.100.0/24"]
  certificate_arn    = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  leasekeeper_image  = "registry.example.com/leasekeeper:1.0.0"
  vault_address      = "https://vault.example.com:8200"
  database_password  = "first"
}

run "one_task_has_files_of_its_own" {
  assert {
    condition     = length(module.efs) == 0 && length(aws_ecs_task_definition.product_api.volume) == 1
    error_message = "no EFS"
  }
  assert {
    condition     = length(one(aws_ecs_task_definition.product_api.volume).efs_volume_configuration) == 0
    error_message = "a volume of the task"
  }
  assert {
    condition = [
      for each in jsondecode(aws_ecs_task_definition.product_api.container_definitions) : each.name
    ] == ["leasekeeper", "product-api"]
    error_message = "two containers"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.product_api.container_definitions)[1].mountPoints[0].readOnly
    error_message = "the application only reads"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.from_prometheus) == 0
    error_message = "nobody but the load balancer reaches the tasks"
  }
}

run "several_tasks_share_a_group_on_efs" {
  variables {
    share_files                  = true
    desired_count                = 3
    prometheus_security_group_id = "sg-prometheus"
    state_kms_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
  }
  assert {
    condition = alltrue([
      for each in aws_ecs_task_definition.product_api.volume :
      length(each.efs_volume_configuration) == (each.name == "leasekeeper-files" ? 1 : 0)
    ])
    error_message = "the files are on EFS, the state is not"
  }
  assert {
    condition = alltrue([
      for each in aws_ecs_task_definition.product_api.volume : alltrue([
        for efs in each.efs_volume_configuration :
        efs.transit_encryption == "ENABLED" && efs.authorization_config[0].iam == "ENABLED"
      ])
    ])
    error_message = "TLS and IAM"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.from_prometheus) == 1
    error_message = "Prometheus gets in"
  }
}

run "a_deployment_that_cannot_start_goes_back" {
  assert {
    condition     = aws_ecs_service.product_api.deployment_circuit_breaker[0].rollback
    error_message = "the circuit breaker"
  }
}
