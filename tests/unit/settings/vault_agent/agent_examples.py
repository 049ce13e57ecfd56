"""Configurations as they are found in tutorials and in OpenBao's documentation and tests.

Each stands for one idea of those pages, in words of our own. *verdict* is what Vault Agent makes
of it; *ours* is what we have to say about it, nothing if it loads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Example:
    """One configuration."""

    text: str
    loads: bool = True
    """Whether `bao agent` takes it."""
    ours: tuple[str, ...] = ()
    """Parts of our problems, one for each."""


_METRICS = (
    'listener "tcp" { address = "127.0.0.1:3000" tls_disable = true role = "metrics_only" }\n'
)
_PROXYING = 'listener "tcp" { address = "127.0.0.1:8100" tls_disable = true }\n'
_AWS = """
pid_file = "./pidfile"
auto_auth {
  method {
    type      = "aws"
    namespace = "my-namespace/"
    config = { type = "iam", role = "web" }
  }
  sink {
    type = "file"
    config = { path = "/tmp/file-foo" }
    aad     = "foobar"
    dh_type = "curve25519"
    dh_path = "/tmp/file-foo-dhpath"
  }
}
"""
_TOKEN = """
auto_auth {

  method {
    type = "token_file"

    config {
      token_file_path = "/home/app/.vault-token"
    }
  }
}
"""
_TEMPLATES = """
template {
  source      = "/etc/agent/server.key.ctmpl"
  destination = "/etc/agent/server.key"
}

template {
  source      = "/etc/agent/server.crt.ctmpl"
  destination = "/etc/agent/server.crt"
}
"""
_ENV = 'env_template "FOO_PASSWORD" {\n  contents = "{{ with secret \\"kv/foo\\" }}{{ end }}"\n'
_EXEC = """
exec {
  command                   = ["./my-app", "arg1", "arg2"]
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGTERM"
}
"""


def _method(kind: str, config: str) -> str:
    """Return a login; the caller ends its block."""
    return f'auto_auth {{\n method "{kind}" {{ config = {{ {config} }} }}\n'


TUTORIAL_AWS = """\
exit_after_auth = true
pid_file = "./pidfile"

auto_auth {
   method "aws" {
       mount_path = "auth/aws"
       config = {
           type = "iam"
           role = "dev-role-iam"
       }
   }

   sink "file" {
       config = {
           path = "/home/ubuntu/vault-token-via-agent"
       }
   }
}

vault {
   address = "http://10.0.101.10:8200"
}
"""
TUTORIAL_AWS_WRAPPED = TUTORIAL_AWS.replace(
    'sink "file" {', 'sink "file" {\n       wrap_ttl = "5m"'
)
TUTORIAL_ECS = """\
exit_after_auth = false
pid_file = "./pidfile"
auto_auth {
  method "aws" {
    mount_path = "auth/aws"
    config = {
      type = "iam"
      role = "learn-product-api"
    }
  }
  sink "file" {
    config = {
      path = "/tmp/vault-token"
    }
  }
}
vault {
  address = "https://vault.example.com:8200"
}
template {
  source      = "/vault-agent/template.ctmpl"
  destination = "/config/conf.json"
}
"""

EXAMPLES: dict[str, Example] = {
    "tutorial aws": Example(text=TUTORIAL_AWS),
    "tutorial aws wrapped": Example(text=TUTORIAL_AWS_WRAPPED),
    "tutorial ecs": Example(text=TUTORIAL_ECS),
    "docs overview": Example(
        text='vault {\n  address = "https://fqdn:8200"\n  retry {\n    num_retries = 5\n  }\n}\n'
        'auto_auth {\n  method "kubernetes" {\n    config = { role = "foobar" }\n  }\n'
        '  sink "file" { config = { path = "/tmp/file-foo" } }\n'
        '  sink "file" {\n    wrap_ttl = "5m"\n    aad_env_var = "TEST_AAD_ENV"\n'
        '    dh_type = "curve25519"\n    dh_path = "/tmp/file-foo-dhpath2"\n'
        '    config = { path = "/tmp/file-bar" }\n  }\n}\n'
        "cache {\n  // An empty cache stanza still enables caching\n}\n"
        "api_proxy {\n  use_auto_auth_token = true\n}\n"
        'listener "unix" {\n  address = "/path/to/socket"\n  tls_disable = true\n'
        "  agent_api {\n    enable_quit = true\n  }\n}\n" + _PROXYING + _TEMPLATES,
        ours=("api_proxy: ", "listener: needs", "listener: needs"),
    ),
    "docs approle with a list of sinks": Example(
        text='auto_auth {\n  method {\n    type = "approle"\n    config = {\n'
        '      role_id_file_path = "/etc/roleid"\n      secret_id_file_path = "/etc/secretid"\n'
        "    }\n  }\n"
        '  sinks {\n    sink {\n      type = "file"\n      config = { path = "/f" }\n    }\n  }\n}'
    ),
    "docs token file": Example(
        text='vault { address = "https://127.0.0.1:8200" }\n' + _TOKEN + _TEMPLATES
    ),
    "docs half json": Example(
        text='{\n  "auto_auth": {\n    "method": [\n      {\n        type = "approle"\n'
        "        config = {}\n      }\n    ]\n  }\n}\n",
        loads=False,
        ours=("is not valid JSON",),
    ),
    "docs templates": Example(
        text=_TOKEN
        + "template_config {\n  exit_on_retry_failure = true\n"
        + '  static_secret_render_interval = "10m"\n}\n'
        + 'template {\n  contents = "{{ with secret \\"secret/my-secret\\" }}{{ end }}"\n'
        + '  destination = "/tmp/agent/render.txt"\n  error_on_missing_key = true\n}\n'
    ),
    "docs process supervisor": Example(
        text=_TOKEN + _ENV + "  error_on_missing_key = true\n}\n" + _EXEC,
    ),
    "docs several sinks": Example(
        text=_method("approle", 'role_id_file_path = "/r" secret_id_file_path = "/s"')
        + 'sinks { sink { type = "file" config = { path = "/t/1" } }'
        ' sink { type = "file" config = { path = "/t/2" mode = 0600 } } }\n}\n'
    ),
    "docs kubernetes": Example(text=_method("kubernetes", 'role = "web"') + "}\n" + _TEMPLATES),
    "docs certificate": Example(
        text=_method("cert", 'name = "web" client_cert = "/c" client_key = "/k" reload = true')
        + "}\n"
        + _TEMPLATES
    ),
    "docs jwt": Example(
        text=_method("jwt", 'path = "/jwt" role = "web" remove_jwt_after_reading = false')
        + "}\n"
        + _TEMPLATES
    ),
    "docs kerberos": Example(
        text=_method("kerberos", 'username = "u" service = "s" realm = "R" keytab_path = "/k"')
        + "}\n"
        + _TEMPLATES,
        ours=('"kerberos" is not supported',),
    ),
    "docs wrapping by the login": Example(
        text='auto_auth { method "token_file" { wrap_ttl = "5m" config = { token_file_path = "/t" }'
        ' }\n sink "file" { config = { path = "/t/1" } } }\n',
        ours=("wrap_ttl: does not work with token_file",),
    ),
    "docs forced proxy": Example(
        text=_TOKEN + 'api_proxy { use_auto_auth_token = "force" }\n' + _PROXYING,
        ours=("api_proxy: ", "listener: needs"),
    ),
    "docs metrics": Example(
        text='telemetry { prometheus_retention_time = "24h" disable_hostname = true }\n'
        'listener "tcp" { address = "127.0.0.1:3000" role = "metrics_only" tls_cert_file = "/c"'
        ' tls_key_file = "/k" agent_api { enable_quit = true } }\n'
        'listener "unix" { address = "/run/agent.sock" role = "metrics_only" tls_disable = true'
        ' socket_mode = "600" }\n' + _METRICS + _TOKEN + _TEMPLATES
    ),
    "docs process": Example(
        text='pid_file = "/run/agent.pid"\nlog_level = "warn"\nlog_format = "json"\n'
        'log_file = "/dev/null"\nlog_rotate_duration = "24h"\nlog_rotate_bytes = 1048576\n'
        'log_rotate_max_files = 5\ndisable_keep_alives = ["templating"]\ncache {}\n'
        + _TOKEN
        + _TEMPLATES
    ),
    "docs persistent cache": Example(
        text=_AWS
        + 'cache {\n  persist "kubernetes" {\n    path = "/openbao/agent-cache"\n  }\n}\n'
        + _METRICS
    ),
    "docs cache with a proxy": Example(
        text=_AWS
        + 'cache {\n  persist = {\n    type = "kubernetes"\n    path = "/cache/"\n'
        + "    keep_after_import = true\n    exit_on_err = true\n"
        + '    service_account_token_file = "/tmp/token"\n  }\n}\n'
        + _METRICS
        + _PROXYING,
        ours=("listener: needs",),
    ),
    "test all idle connections": Example(
        text='disable_idle_connections = ["auto-auth","caching","templating","proxying"]\n' + _AWS
    ),
    "test bad idle connections": Example(
        text='disable_idle_connections = ["foo","caching","templating"]\n' + _AWS,
        loads=False,
        ours=("unknown disable_idle_connections value",),
    ),
    "test bad keep alives": Example(
        text='disable_keep_alives = ["foo","caching","templating"]\n' + _AWS,
        loads=False,
        ours=("unknown disable_keep_alives value",),
    ),
    "test no listener for metrics": Example(text=_AWS + _METRICS),
    "test nothing to write": Example(
        text='auto_auth { method "aws" { config = { type = "iam" role = "x" } } }\n',
        loads=False,
        ours=("auto_auth requires at least one sink",),
    ),
    "test wrapping and two sinks": Example(
        text='auto_auth {\n  method "cert" { wrap_ttl = 300 }\n'
        '  sink "file" { config = { path = "/a" } }\n  sink "file" { config = { path = "/b" } }\n}',
        loads=False,
        ours=("0 or many sinks", "wrap_ttl: does not work with cert"),
    ),
    "test wrapping twice": Example(
        text='auto_auth {\n  method "cert" { wrap_ttl = 300 }\n'
        '  sink "file" { wrap_ttl = 300\n config = { path = "/a" } }\n}\n',
        loads=False,
        ours=("both on auth method and sink", "wrap_ttl: does not work with cert"),
    ),
    "test cache without outputs": Example(
        text='pid_file = "./pidfile"\ncache {\n}\n',
        loads=False,
        ours=("enabling the cache requires",),
    ),
    "test cache without login": Example(
        text='cache { use_auto_auth_token = "force" }\n' + _PROXYING,
        loads=False,
        ours=("cache.use_auto_auth_token is true but", "listener: needs"),
    ),
    "test token in cache and proxy": Example(
        text=_AWS
        + "cache { use_auto_auth_token = true }\n"
        + 'api_proxy { use_auto_auth_token = "force" }\n'
        + _PROXYING,
        loads=False,
        ours=("defined in both", "api_proxy: ", "listener: needs"),
    ),
    "test persist without type": Example(
        text='cache { persist = { path = "/vault/agent-cache/" } }\n' + _PROXYING,
        loads=False,
        ours=("persist type must be specified", "listener: needs"),
    ),
    "test full template": Example(
        text=_TOKEN
        + 'template {\n  destination = "/path/render.txt"\n  contents = "{{ x }}"\n'
        + '  create_dest_dirs = true\n  command = "restart service foo"\n'
        + '  command_timeout = "60s"\n  error_on_missing_key = true\n  perms = 0655\n'
        + '  backup = true\n  left_delimiter = "<<"\n  right_delimiter = ">>"\n'
        + '  sandbox_path = "/path/on/disk/where"\n'
        + '  wait {\n    min = "5s"\n    max = "30s"\n  }\n'
        + '  exec {\n    command = ["foo", "bar"]\n    timeout = "10s"\n  }\n}\n'
    ),
    "test backoffs": Example(
        text='auto_auth { method "cert" { min_backoff = "5s" max_backoff = "2m" } }\n' + _TEMPLATES
    ),
    "test retries": Example(text="vault { retry { num_retries = -1 } }\n" + _AWS),
    "test no retries": Example(text="vault { retry {} }\n" + _AWS),
    "test env template without exec": Example(
        text=_TOKEN + _ENV + "}\n",
        loads=False,
        ours=("a top-level 'exec' element",),
    ),
    "test env template without name": Example(
        text=_TOKEN + _EXEC + _ENV.replace('"FOO_PASSWORD" ', "") + "}\n",
        loads=False,
        ours=("variable name is required",),
    ),
    "test env template with a file": Example(
        text=_TOKEN + _EXEC + _ENV + '  destination = "/x"\n  create_dest_dirs = true\n}\n',
        loads=False,
        ours=("'create_dest_dirs' is not allowed", "'destination' is not allowed"),
    ),
    "test env template and template": Example(
        text=_TOKEN + _EXEC + _ENV + "}\n" + _TEMPLATES,
        loads=False,
        ours=("'template' cannot be specified",),
    ),
}
