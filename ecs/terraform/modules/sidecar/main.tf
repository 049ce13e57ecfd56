# The sidecar as data: no provider, no resource. What is needed of it goes into the task definition
# of whoever calls this module.
terraform {
  required_version = ">= 1.9"
}

locals {
  files_volume = "${var.name}-files"
  state_volume = "${var.name}-state"
  state_path   = "/var/lib/leasekeeper"
  once         = var.tutorial != null ? var.tutorial.exit_after_auth : try(tobool(var.config.lifecycle.exit_after_auth), false)

  configuration = var.config == null ? {} : { LEASEKEEPER_CONFIG = jsonencode(var.config) }
  contract = var.tutorial == null ? {} : {
    for name, value in {
      VAULT_ADDR                  = var.tutorial.vault_address
      VAULT_NAMESPACE             = var.tutorial.vault_namespace
      VAULT_ROLE                  = var.tutorial.vault_role
      VAULT_AGENT_TEMPLATE        = base64encode(var.tutorial.template)
      TARGET_FILE_NAME            = var.tutorial.target_file_name
      VAULT_AGENT_EXIT_AFTER_AUTH = tostring(var.tutorial.exit_after_auth)
      LEASEKEEPER_OUTPUT_DIR      = var.directory == "/config" ? null : var.directory
    } : name => value if value != null
  }
  deadlines = {
    LEASEKEEPER_LIFECYCLE__STARTUP_DEADLINE  = "${var.startup_deadline}s"
    LEASEKEEPER_LIFECYCLE__SHUTDOWN_DEADLINE = "${var.shutdown_deadline}s"
  }
  # As a variable, because `leasekeeper health` reads no configuration.
  listen = {
    LEASEKEEPER_WEB__LISTEN = "${var.metrics ? "0.0.0.0" : "127.0.0.1"}:${var.port}"
  }
  state = var.state_kms_key_id == null ? {} : {
    LEASEKEEPER_STATE__PATH                   = local.state_path
    LEASEKEEPER_STATE__ENCRYPTION__KMS_KEY_ID = var.state_kms_key_id
  }
  environment = merge(local.configuration, local.contract, local.deadlines, local.listen, local.state, var.environment)

  mount_points = concat(
    [{ sourceVolume = local.files_volume, containerPath = var.directory, readOnly = false }],
    var.state_kms_key_id == null ? [] : [
      { sourceVolume = local.state_volume, containerPath = local.state_path, readOnly = false }
    ],
  )

  container = {
    name                   = var.name
    image                  = var.image
    essential              = local.once ? false : var.essential
    command                = ["run"]
    cpu                    = var.cpu
    memory                 = var.memory
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { add = [], drop = ["ALL"] } }
    environment            = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets                = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
    mountPoints            = local.mount_points
    portMappings           = var.metrics ? [{ containerPort = var.port, protocol = "tcp" }] : []
    healthCheck = local.once ? null : {
      command     = ["CMD", "leasekeeper", "health"]
      interval    = var.health_check.interval
      timeout     = var.health_check.timeout
      retries     = var.health_check.retries
      startPeriod = var.health_check.start_period
    }
    startTimeout = var.start_timeout
    stopTimeout  = var.stop_timeout
    restartPolicy = local.once || var.restart == null ? null : {
      enabled              = true
      restartAttemptPeriod = var.restart.attempt_period
      ignoredExitCodes     = var.restart.ignored_exit_codes
    }
    logConfiguration = var.log_configuration
    dockerLabels = !var.metrics ? null : {
      ECS_PROMETHEUS_JOB_NAME      = "leasekeeper"
      ECS_PROMETHEUS_EXPORTER_PORT = tostring(var.port)
    }
  }
}
