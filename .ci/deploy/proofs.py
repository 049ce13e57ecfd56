"""What can be broken, and the step of `make check-deploy` that has to notice."""

from __future__ import annotations

TEMPLATE = "ecs/cloudformation/product-api.yaml"
TASK = "ecs/task-definition.json"
EFS = "ecs/terraform/modules/efs/main.tf"
VAULT = "ecs/terraform/modules/vault/main.tf"
SIDECAR = "ecs/terraform/modules/sidecar/main.tf"
POLICIES = "ecs/terraform/modules/policies/main.tf"
EXAMPLE = "ecs/terraform/examples/product-api/main.tf"
DATABASE = "ecs/terraform/examples/product-api/database.tf"
RULES = "config/monitoring/prometheus-rules.yml"
# What is broken, and the step that has to notice: file, text, other text.
PROOFS = (
    ("hadolint", "docker/Dockerfile", " --no-install-recommends", ""),
    ("hadolint", "docker/Dockerfile", "USER 10001:10001", "USER root"),
    ("shellcheck", "docker/vault", 'leasekeeper "$@"', "leasekeeper $@"),
    ("compose", "docker/task.yaml", "mem_limit:", "memory_limit:"),
    ("alerts", RULES, "abs(leasekeeper_clock", "abs((leasekeeper_clock"),
    ("alerts", RULES, '{state="unhealthy"} == 1', '{state="unhealthy"} == 2'),
    ("alerts", "config/monitoring/alertmanager.yml", "receivers:", "recievers:"),
    ("cfn-lint", TEMPLATE, 'Memory: "512"', 'Memory: "500"'),
    ("cfn-lint", TEMPLATE, "Condition: HEALTHY", "Condition: HEALTY"),
    ("checkov", TEMPLATE, "StorageEncrypted: true", "StorageEncrypted: false"),
    ("checkov", TEMPLATE, "      Encrypted: true", "      Encrypted: false"),
    ("checkov", DATABASE, "storage_encrypted               = true", "storage_encrypted = false"),
    ("terraform modules/sidecar", SIDECAR, '"CMD", "leasekeeper", "health"', '"CMD", "true"'),
    ("terraform modules/sidecar", SIDECAR, "  once         =", "  once =  "),
    ("terraform modules/policies", POLICIES, "elasticfilesystem:AccessPointArn", "aws:SourceArn"),
    ("terraform modules/efs", EFS, "default     = 10001", "default     = 0"),
    ("terraform modules/vault", VAULT, "bound_iam_principal_arns", "bound_iam_principal_arn "),
    ("terraform examples", EXAMPLE, "desired_count    ", "desired_number   "),
    ("iam", POLICIES, '"elasticfilesystem:ClientWrite"', '"elasticfilesystem:ClientRite"'),
    ("iam", POLICIES, "Resource  = var.efs.file_system_arn\n", 'Resource  = "*"\n'),
    ("iam", POLICIES, '"logs:PutLogEvents"', '"logs:*"'),
    ("iam", TEMPLATE, "Resource: !GetAtt FileSystem.Arn", 'Resource: "*"'),
    ("task definitions", TASK, '"containerName": "leasekeeper"', '"containerName": "vault"'),
    ("task definitions", TASK, '"sourceVolume": "leasekeeper-files"', '"sourceVolume": "files"'),
    ("task definitions", TASK, '"stopTimeout"', '"stopTimout"'),
    ("task definitions", TASK, '"startPeriod": 60', '"startPeriod": 600'),
    ("task definitions", TASK, '"HEALTHY"', '"HEALTY"'),
    ("task definitions", TASK, '"memory": "512"', '"memory": "500"'),
    ("task definitions", TASK, "method: aws_iam", "metod: aws_iam"),
    ("task definitions", SIDECAR, "restartAttemptPeriod =", "restartPeriod        ="),
    ("task definitions", SIDECAR, "LEASEKEEPER_STATE__PATH ", "LEASEKEEPER_STATE__PLACE"),
    ("task definitions", TEMPLATE, "StartPeriod: 60", "StartPeriod: 600"),
    ("task definitions", TEMPLATE, "method: aws_iam", "metod: aws_iam"),
    ("task definitions", TEMPLATE, "IAM: ENABLED", "IAM: enabled"),
    ("task definitions", TEMPLATE, "TransitEncryption: ENABLED", "TransitEncryption: DISABLED"),
)
