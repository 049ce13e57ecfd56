# What Leasekeeper needs for this configuration; made by `leasekeeper policy`.

# for /config/conf.json
path "database/creds/product" {
  capabilities = ["read"]
}

# Token and leases. Vault's policy `default` allows most of these already.
# is the token still good?
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
# keep it alive
path "auth/token/renew-self" {
  capabilities = ["update"]
}
# was a lease revoked behind our back?
path "sys/leases/lookup" {
  capabilities = ["update"]
}
# keep leases alive
path "sys/leases/renew" {
  capabilities = ["update"]
}
# for `leasekeeper check --online`
path "sys/capabilities-self" {
  capabilities = ["update"]
}
# `check --online` revokes its own token
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
