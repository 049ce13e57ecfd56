resource "aws_db_subnet_group" "products" {
  name       = var.name
  subnet_ids = var.private_subnet_ids
}

resource "aws_security_group" "database" {
  name        = "${var.name}-db"
  description = "The database of ${var.name}"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database_from_tasks" {
  security_group_id            = aws_security_group.database.id
  description                  = "The application"
  referenced_security_group_id = aws_security_group.tasks.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "database_from_vault" {
  for_each          = toset(var.vault_cidr_blocks)
  security_group_id = aws_security_group.database.id
  description       = "Vault makes and drops users"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}

resource "aws_db_parameter_group" "products" {
  name        = var.name
  family      = "postgres17"
  description = "TLS only, and a log of what changes tables and users"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_statement"
    value = "ddl"
  }
  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }
}

resource "aws_db_instance" "products" {
  #checkov:skip=CKV_AWS_161:logins with IAM are what Vault's credentials are here instead of
  #checkov:skip=CKV_AWS_354:Performance Insights sees statements, no credentials; the key that AWS manages will do
  #checkov:skip=CKV_AWS_118:enhanced monitoring needs a role for the operating system's figures, which say nothing about secrets
  identifier                      = var.name
  engine                          = "postgres"
  engine_version                  = "17"
  instance_class                  = "db.t4g.micro"
  allocated_storage               = 20
  storage_encrypted               = true
  db_name                         = "products"
  username                        = var.database_username
  password                        = var.database_password
  db_subnet_group_name            = aws_db_subnet_group.products.name
  parameter_group_name            = aws_db_parameter_group.products.name
  vpc_security_group_ids          = [aws_security_group.database.id]
  publicly_accessible             = false
  multi_az                        = true
  backup_retention_period         = 7
  copy_tags_to_snapshot           = true
  deletion_protection             = true
  auto_minor_version_upgrade      = true
  performance_insights_enabled    = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  final_snapshot_identifier       = "${var.name}-final"

  # Vault changes it: this one is the first.
  lifecycle {
    ignore_changes = [password]
  }
}
