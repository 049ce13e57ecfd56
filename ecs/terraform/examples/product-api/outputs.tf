output "endpoint" {
  description = "Where the application answers; point a name of the certificate at it."
  value       = "https://${aws_lb.this.dns_name}/coffees"
}

output "task_role_arn" {
  description = "What Vault's role is bound to."
  value       = module.task_role.arn
}

output "next_step" {
  description = "Once, after the first apply: from then on Vault alone knows the password."
  value       = "vault write -f database/rotate-root/product"
}
