mock_provider "vault" {}

variables {
  name                   = "product-api"
  task_role_arn          = "arn:aws:iam::123456789012:role/product-api"
  policy                 = "path \"database/creds/product\" { capabilities = [\"read\"] }"
  resolve_aws_unique_ids = true
}

run "the_role_is_bound_to_the_task_role_and_nothing_else" {
  assert {
    condition     = vault_aws_auth_backend_role.task.bound_iam_principal_arns == toset([var.task_role_arn])
    error_message = "one ARN"
  }
  assert {
    condition     = vault_aws_auth_backend_role.task.auth_type == "iam" && vault_aws_auth_backend_role.task.resolve_aws_unique_ids
    error_message = "an IAM login, bound to the role's unique id"
  }
  assert {
    condition     = vault_aws_auth_backend_role.task.token_policies == toset(["product-api"])
    error_message = "the policy"
  }
}

run "without_a_database_there_is_no_engine" {
  assert {
    condition     = length(vault_mount.database) == 0 && output.credentials_path == null
    error_message = "nothing to mount"
  }
}

run "database_credentials_end_before_their_token_cannot" {
  variables {
    database = {
      name = "product", host = "db", dbname = "products", username = "vault", password = "x"
    }
  }
  assert {
    condition     = vault_database_secret_backend_role.database[0].default_ttl <= var.token_ttl
    error_message = "a lease dies with its token"
  }
  assert {
    condition     = nonsensitive(output.credentials_path) == "database/creds/product"
    error_message = "the path that the policy names"
  }
  assert {
    condition     = nonsensitive(vault_database_secret_backend_connection.database[0].allowed_roles) == tolist(["product"])
    error_message = "the tutorial's * lets every role use the account"
  }
}

run "an_existing_mount_is_used_as_it_is" {
  variables {
    auth_mount = "aws-ecs"
  }
  assert {
    condition     = length(vault_auth_backend.aws) == 0 && vault_aws_auth_backend_role.task.backend == "aws-ecs"
    error_message = "the mount belongs to somebody else"
  }
}

run "a_wildcard_principal_is_refused" {
  command = plan
  variables {
    task_role_arn = "arn:aws:iam::123456789012:role/*"
  }
  expect_failures = [var.task_role_arn]
}

run "a_policy_without_a_path_is_refused" {
  command = plan
  variables {
    policy = "policy.hcl"
  }
  expect_failures = [var.policy]
}

run "a_period_and_a_maximum_contradict_each_other" {
  command = plan
  variables {
    token_max_ttl = 86400
  }
  expect_failures = [var.token_max_ttl]
}
