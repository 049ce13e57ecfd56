output "container_definition" {
  description = "The container, for jsonencode([...]) in container_definitions."
  value       = { for key, value in local.container : key => value if value != null }
}

output "volumes" {
  description = "The volumes of the task definition: name, and efs when it is one."
  value = concat(
    [{ name = local.files_volume, efs = var.efs }],
    var.state_kms_key_id == null ? [] : [{ name = local.state_volume, efs = null }],
  )
}

output "application_mount_point" {
  description = "The mount point of the application: the same files, read-only."
  value       = { sourceVolume = local.files_volume, containerPath = var.directory, readOnly = true }
}

output "depends_on" {
  description = "The application's dependsOn: it starts when every file is there, and stops before the sidecar."
  value       = [{ containerName = var.name, condition = local.once ? "SUCCESS" : "HEALTHY" }]
}

output "port" {
  description = "Port of /health and /metrics when metrics is on."
  value       = var.port
}
