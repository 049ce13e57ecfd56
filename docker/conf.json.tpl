{
  {{- with secret "learn/database/creds/product" }}
  "db_connection": "host=DATABASE_HOST port=5432 user={{ .Data.username }} password={{ .Data.password }} dbname=products sslmode=disable",
  {{- end }}
  "bind_address": "0.0.0.0:9090",
  "metrics_address": ":9102"
}
