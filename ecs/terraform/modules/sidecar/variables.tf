# What to run.

variable "image" {
  description = "Image of Leasekeeper. Name it by digest or by a tag that never moves."
  type        = string
}

variable "name" {
  description = "Name of the container."
  type        = string
  default     = "leasekeeper"
}

variable "config" {
  description = "Leasekeeper's configuration (docs/configuration.md), as an object. Either this or tutorial."
  type        = any
  default     = null
}

variable "tutorial" {
  description = "The inputs of HashiCorp's tutorial module instead of a configuration. template is plain text."
  type = object({
    vault_address    = string
    vault_namespace  = optional(string)
    vault_role       = string
    template         = string
    target_file_name = string
    exit_after_auth  = optional(bool, false)
  })
  default = null

  validation {
    condition     = (var.tutorial == null) != (var.config == null)
    error_message = "Give one of config and tutorial."
  }
}

variable "environment" {
  description = "More variables, such as LEASEKEEPER_PROBE__INTERVAL. No secrets: they show in the task definition."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Variables that ECS fills from Secrets Manager or SSM: name to ARN. The execution role has to be able to read them."
  type        = map(string)
  default     = {}
}

# Where the files go.

variable "efs" {
  description = "Write to this EFS access point, for files that several tasks share. Without it the volume is the task's own."
  type = object({
    file_system_id  = string
    access_point_id = string
  })
  default = null
}

variable "directory" {
  description = "Where the volume with the files is mounted. For a volume of the task keep /config, which the image prepares for its user."
  type        = string
  default     = "/config"

  validation {
    condition     = startswith(var.directory, "/")
    error_message = "directory has to be an absolute path."
  }
}

variable "state_kms_key_id" {
  description = "Keep token and leases over a restart of this container, encrypted with this KMS key (ARN, id or alias). Without it a restart makes new credentials."
  type        = string
  default     = null
}

# Starting, stopping, health. Seconds throughout; docs/ecs.md has the arithmetic.

variable "startup_deadline" {
  description = "Leasekeeper ends with a reason when it is not ready by then."
  type        = number
  default     = 60
}

variable "health_check" {
  description = "How ECS asks. start_period is the time in which a failure does not count."
  type = object({
    interval     = optional(number, 10)
    timeout      = optional(number, 5)
    retries      = optional(number, 3)
    start_period = optional(number, 60)
  })
  default = {}

  validation {
    condition = (
      var.health_check.interval >= 5 && var.health_check.interval <= 300 &&
      var.health_check.timeout >= 2 && var.health_check.timeout <= 60 &&
      var.health_check.retries >= 1 && var.health_check.retries <= 10 &&
      var.health_check.start_period >= 0 && var.health_check.start_period <= 300
    )
    error_message = "ECS allows interval 5 to 300, timeout 2 to 60, retries 1 to 10, start_period 0 to 300."
  }

  validation {
    condition     = var.health_check.start_period + var.health_check.interval * var.health_check.retries > var.startup_deadline
    error_message = "start_period + interval * retries has to be longer than startup_deadline: else ECS ends the container before Leasekeeper can say why."
  }
}

variable "start_timeout" {
  description = "How long containers that depend on this one wait for it. Fargate allows 120."
  type        = number
  default     = 120

  validation {
    condition     = var.start_timeout >= var.startup_deadline && var.start_timeout <= 120
    error_message = "start_timeout has to be at least startup_deadline and at most 120."
  }
}

variable "shutdown_deadline" {
  description = "Longest time for a clean stop."
  type        = number
  default     = 10
}

variable "stop_timeout" {
  description = "ECS kills the container this long after SIGTERM. Fargate allows 120."
  type        = number
  default     = 30

  validation {
    condition     = var.stop_timeout > var.shutdown_deadline && var.stop_timeout <= 120
    error_message = "stop_timeout has to be longer than shutdown_deadline and at most 120."
  }
}

variable "essential" {
  description = "Whether the task ends with this container. An essential container's health is the task's health."
  type        = bool
  default     = true
}

variable "restart" {
  description = "Restart the container inside the task when it ends; attempt_period is how long it has to have run. null: never."
  type = object({
    attempt_period     = optional(number, 60)
    ignored_exit_codes = optional(list(number), [0, 2])
  })
  default = {}
}

# Size, log, metrics.

variable "cpu" {
  description = "CPU units that are reserved; 0 shares what the task has."
  type        = number
  default     = 0
}

variable "memory" {
  description = "MiB at which the container is killed."
  type        = number
  default     = 128
}

variable "log_configuration" {
  description = "The logConfiguration of the container."
  type = object({
    logDriver = string
    options   = optional(map(string), {})
  })
  default = null
}

variable "metrics" {
  description = "Listen on the task's address with the labels by which Prometheus' ECS discovery finds the port. Off: only containers of this task reach /health and /metrics."
  type        = bool
  default     = false
}

variable "port" {
  description = "Port of /health and /metrics."
  type        = number
  default     = 8210
}
