variables {
  account_id = "123456789012"
  region     = "us-east-1"
  efs = {
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1"
  }
}

run "a_task_with_a_volume_of_its_own_needs_no_permission" {
  variables {
    efs = null
  }
  assert {
    condition     = output.task == null && output.execution == null && output.file_system == null
    error_message = "logging in needs no permission"
  }
}

run "efs_is_allowed_through_the_access_point_only" {
  assert {
    condition = alltrue([
      for each in jsondecode(output.task).Statement :
      each.Condition.ArnEquals["elasticfilesystem:AccessPointArn"] == var.efs.access_point_arn && each.Resource == var.efs.file_system_arn
    ])
    error_message = "every statement is bound to the access point"
  }
  assert {
    condition     = length(jsondecode(output.task).Statement) == 1
    error_message = "without state no KMS"
  }
}

run "the_state_key_is_for_one_vault" {
  variables {
    state = {
      kms_key_arn   = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
      vault_address = "https://vault.example.com:8200"
    }
  }
  assert {
    condition     = jsondecode(output.task).Statement[1].Condition.StringEquals["kms:EncryptionContext:leasekeeper:vault"] == "https://vault.example.com:8200"
    error_message = "bound to the encryption context"
  }
}

run "an_alias_is_no_key" {
  command = plan
  variables {
    state = {
      kms_key_arn   = "arn:aws:kms:us-east-1:123456789012:alias/leasekeeper"
      vault_address = "https://vault.example.com:8200"
    }
  }
  expect_failures = [var.state]
}

run "nobody_mounts_without_tls" {
  variables {
    task_role_arn = "arn:aws:iam::123456789012:role/product-api"
  }
  assert {
    condition     = jsondecode(output.file_system).Statement[1].Effect == "Deny"
    error_message = "TLS is asked for"
  }
}
