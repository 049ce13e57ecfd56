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
}

variables {
  name                   = "product-api"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  client_security_groups = { tasks = "sg-1" }
  task_role_arn          = "arn:aws:iam::123456789012:role/product-api"
}

run "secrets_are_encrypted_and_not_backed_up" {
  assert {
    condition     = aws_efs_file_system.files.encrypted
    error_message = "encryption at rest"
  }
  assert {
    condition     = aws_efs_backup_policy.none.backup_policy[0].status == "DISABLED"
    error_message = "backups of credentials outlive them"
  }
}

run "every_client_is_the_images_user" {
  assert {
    condition = (
      aws_efs_access_point.files.posix_user[0].uid == 10001 && aws_efs_access_point.files.posix_user[0].gid == 10001 &&
      aws_efs_access_point.files.root_directory[0].creation_info[0].owner_uid == 10001 &&
      aws_efs_access_point.files.root_directory[0].creation_info[0].permissions == "0750"
    )
    error_message = "user 10001 owns what is there, and others see nothing"
  }
}

run "each_zone_has_a_mount_target_that_only_tasks_reach" {
  assert {
    condition     = length(aws_efs_mount_target.files) == 2
    error_message = "one for each subnet"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.nfs["tasks"].referenced_security_group_id == "sg-1"
    error_message = "by security group, not by address"
  }
}

run "a_file_system_without_targets_is_refused" {
  command = plan
  variables {
    subnet_ids = []
  }
  expect_failures = [var.subnet_ids]
}
