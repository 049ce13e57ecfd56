# The configuration in main.tf reads this one path. Renewing, looking up and revoking one's own token
# and leases is allowed by Vault's policy "default", which every token has unless told otherwise.
path "database/creds/product" {
  capabilities = ["read"]
}
