#!/bin/sh
# What the tutorial's Terraform configures: the login of the task's role, a policy, and database
# credentials that live a minute. Runs once, against Vault in dev mode.
set -eu

vault auth enable aws
# Any keys: Vault only forwards what the task has signed.
vault write auth/aws/config/client sts_endpoint=http://aws:5000 sts_region=us-east-1 \
  access_key=unused secret_key=unused
vault policy write product - <<'POLICY'
path "learn/database/creds/product" { capabilities = ["read"] }
POLICY
vault write auth/aws/role/learn-product-api auth_type=iam resolve_aws_unique_ids=false \
  bound_iam_principal_arn=arn:aws:iam::123456789012:role/learn-product-api \
  token_policies=product token_ttl=5m token_max_ttl=15m

vault secrets enable -path=learn/database database
vault write learn/database/config/product plugin_name=postgresql-database-plugin \
  allowed_roles='*' username=postgres password=password \
  connection_url='postgresql://{{username}}:{{password}}@postgres:5432/products?sslmode=disable'
vault write learn/database/roles/product db_name=product default_ttl=1m max_ttl=5m \
  creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";"
