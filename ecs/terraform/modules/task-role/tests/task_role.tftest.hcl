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
  name = "product-api"
}

run "a_task_with_a_volume_of_its_own_has_no_policy" {
  assert {
    condition     = length(aws_iam_role_policy.task) == 0
    error_message = "logging in needs no permission"
  }
  assert {
    condition     = jsondecode(aws_iam_role.task.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "only tasks of this account"
  }
}

run "a_shared_volume_brings_two_actions" {
  variables {
    efs = {
      file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
      access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1"
    }
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.task[0].policy).Statement[0].Action == ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    error_message = "mount and write, not root access"
  }
}
