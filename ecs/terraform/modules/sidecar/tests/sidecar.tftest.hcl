variables {
  image = "registry.example.com/leasekeeper:1.0.0"
  config = {
    vault   = { address = "https://vault.example.com:8200" }
    auth    = { method = "aws_iam", role = "product-api" }
    outputs = [{ destination = "/config/conf.json", secret = "secret/data/app", format = "json" }]
  }
}

run "the_health_check_is_the_images_and_covers_the_start" {
  assert {
    condition     = output.container_definition.healthCheck.command == ["CMD", "leasekeeper", "health"]
    error_message = "the health check is not the command of the image"
  }
  assert {
    condition     = output.container_definition.healthCheck.startPeriod == 60
    error_message = "a start may take a minute"
  }
  assert {
    condition     = output.container_definition.stopTimeout == 30 && output.container_definition.startTimeout == 120
    error_message = "timeouts"
  }
}

run "it_runs_with_the_least" {
  assert {
    condition     = output.container_definition.readonlyRootFilesystem && output.container_definition.user == "10001:10001"
    error_message = "the container has to be read-only and not root"
  }
  assert {
    condition     = output.container_definition.linuxParameters.capabilities.drop == ["ALL"]
    error_message = "no capability is needed"
  }
}

run "the_configuration_arrives_as_it_was_written" {
  assert {
    condition = jsondecode(
      one([for each in output.container_definition.environment : each.value if each.name == "LEASEKEEPER_CONFIG"])
    ) == var.config
    error_message = "LEASEKEEPER_CONFIG is not the configuration"
  }
}

run "without_efs_the_volume_is_the_tasks_own" {
  assert {
    condition     = length(output.volumes) == 1 && output.volumes[0].efs == null
    error_message = "one volume, without EFS"
  }
  assert {
    condition     = output.application_mount_point.readOnly && output.application_mount_point.containerPath == "/config"
    error_message = "the application reads the files, and only reads them"
  }
  assert {
    condition     = output.depends_on == [{ containerName = "leasekeeper", condition = "HEALTHY" }]
    error_message = "the application waits for the files"
  }
}

run "without_metrics_nobody_outside_the_task_reaches_it" {
  assert {
    condition     = length(output.container_definition.portMappings) == 0 && !can(output.container_definition.dockerLabels)
    error_message = "no port and no labels"
  }
  assert {
    condition     = contains(output.container_definition.environment, { name = "LEASEKEEPER_WEB__LISTEN", value = "127.0.0.1:8210" })
    error_message = "it listens on the loopback only"
  }
}

run "with_metrics_prometheus_finds_it" {
  variables {
    metrics = true
    port    = 9210
  }
  assert {
    condition = output.container_definition.dockerLabels == {
      ECS_PROMETHEUS_JOB_NAME = "leasekeeper", ECS_PROMETHEUS_EXPORTER_PORT = "9210"
    }
    error_message = "the labels of the discovery"
  }
  assert {
    condition     = contains(output.container_definition.environment, { name = "LEASEKEEPER_WEB__LISTEN", value = "0.0.0.0:9210" })
    error_message = "it has to listen on the task's address"
  }
}

run "with_efs_the_volume_names_the_access_point" {
  variables {
    efs = { file_system_id = "fs-1", access_point_id = "fsap-1" }
  }
  assert {
    condition     = output.volumes[0].efs.access_point_id == "fsap-1"
    error_message = "the access point"
  }
}

run "with_a_key_the_state_has_a_volume_of_its_own" {
  variables {
    state_kms_key_id = "alias/leasekeeper"
    efs              = { file_system_id = "fs-1", access_point_id = "fsap-1" }
  }
  assert {
    condition     = output.volumes[1].name == "leasekeeper-state" && output.volumes[1].efs == null
    error_message = "the state is on a volume of the task, never on EFS"
  }
  assert {
    condition     = contains([for each in output.container_definition.mountPoints : each.containerPath], "/var/lib/leasekeeper")
    error_message = "the state is mounted"
  }
}

run "the_tutorials_inputs_give_the_tutorials_environment" {
  variables {
    config = null
    tutorial = {
      vault_address    = "https://vault.example.com:8200"
      vault_namespace  = "admin"
      vault_role       = "learn-product-api"
      template         = "{}"
      target_file_name = "conf.json"
    }
  }
  assert {
    condition = { for each in output.container_definition.environment : each.name => each.value if !startswith(each.name, "LEASEKEEPER_") } == {
      VAULT_ADDR                  = "https://vault.example.com:8200"
      VAULT_NAMESPACE             = "admin"
      VAULT_ROLE                  = "learn-product-api"
      VAULT_AGENT_TEMPLATE        = "e30="
      TARGET_FILE_NAME            = "conf.json"
      VAULT_AGENT_EXIT_AFTER_AUTH = "false"
    }
    error_message = "these are the variables of the tutorial's image"
  }
}

run "once_means_success_and_no_restart" {
  variables {
    config = null
    tutorial = {
      vault_address    = "https://vault.example.com:8200"
      vault_role       = "learn-product-api"
      template         = "{}"
      target_file_name = "conf.json"
      exit_after_auth  = true
    }
  }
  assert {
    condition     = output.depends_on[0].condition == "SUCCESS" && !output.container_definition.essential
    error_message = "an essential container that ends takes the task with it"
  }
  assert {
    condition     = !can(output.container_definition.healthCheck) && !can(output.container_definition.restartPolicy)
    error_message = "what ends is neither asked nor restarted"
  }
}

run "a_configuration_is_needed" {
  command = plan
  variables {
    config = null
  }
  expect_failures = [var.tutorial]
}

run "ecs_must_not_be_faster_than_the_start_up_deadline" {
  command = plan
  variables {
    startup_deadline = 90
  }
  expect_failures = [var.health_check]
}

run "a_health_check_that_ecs_would_refuse_is_refused" {
  command = plan
  variables {
    health_check = { timeout = 1 }
  }
  expect_failures = [var.health_check]
}

run "ecs_must_not_kill_a_clean_stop" {
  command = plan
  variables {
    shutdown_deadline = 30
  }
  expect_failures = [var.stop_timeout]
}

run "dependants_must_wait_for_the_start" {
  command = plan
  variables {
    start_timeout = 30
  }
  expect_failures = [var.start_timeout]
}
