"""The sections about the process itself: its web server and its log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from leasekeeper.settings import checks
from leasekeeper.settings.durations import Duration
from leasekeeper.settings.fields import FilePath, Section


class ListenerSection(Section):
    """One more address of the HTTP server."""

    address: Annotated[str, AfterValidator(checks.socket_address)]
    """Address and port, or `unix:` and the absolute path of a socket."""
    tls_cert_file: FilePath | None = None
    """PEM file with the certificate, and its chain, to serve HTTPS. SIGHUP reads it again."""
    tls_key_file: FilePath | None = None
    """PEM file with the key of the certificate."""
    enable_quit: bool = False
    """A POST to `/agent/v1/quit` stops the process, as SIGTERM does."""

    @model_validator(mode="after")
    def _check(self) -> ListenerSection:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            msg = "tls_cert_file and tls_key_file only work together"
            raise ValueError(msg)
        return self


class WebSection(Section):
    """The HTTP server: health, metrics, status."""

    listen: Annotated[str, AfterValidator(checks.listen_address)] = "127.0.0.1:8210"
    """Address and port; `off` switches the server off."""
    page: Literal["loopback", "all", "off"] = "loopback"
    """Who gets the status page and /status, at any of the addresses: those on this machine,
    everybody, nobody. /health and /metrics are for everybody who reaches an address."""
    allowed_hosts: list[Annotated[str, AfterValidator(checks.host_name)]] = Field(
        default_factory=list
    )
    """Names under which the status page and /status may be asked for, besides addresses and
    `localhost`. Others are refused, against pages whose domain is made to point here."""
    enable_quit: bool = False
    """A POST to `/agent/v1/quit` stops the process, as SIGTERM does."""
    listeners: list[ListenerSection] = Field(default_factory=list)
    """More addresses that serve the same."""
    control_token_file: FilePath | None = None
    """File for the token that POST requests to `/v1/refresh`, `/v1/rotate` and `/v1/quit` need; new
    in each run, mode 0600. Default: `control.token` in `state.path`; with neither there is no
    `/v1`. It is for this machine alone, at whatever address."""
    openmetrics: bool = False
    """Answer a scraper that asks for OpenMetrics in that format, with exemplars: Vault's request
    ids, as its audit log has them, on the durations of requests."""


class TracesSection(Section):
    """Traces of requests to Vault and of publishes."""

    enabled: bool = False
    """Send them with OpenTelemetry (OTLP over HTTP) to `OTEL_EXPORTER_OTLP_ENDPOINT`, which has to
    be set. Needs the extra `otel`; its own `OTEL_*` variables have effect."""


class LogSection(Section):
    """What is logged, and how."""

    level: Literal["trace", "debug", "info", "warning", "error"] = "info"
    """Least important level that is written. SIGHUP reads it again."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto` writes for people on a terminal and JSON everywhere else."""
    file: FilePath | None = None
    """File that gets a copy of what goes to standard output; its directory has to exist. A path
    that ends with `/` is a directory, for `leasekeeper.log` in it."""
    rotate_bytes: Annotated[int, Field(ge=0)] = 0
    """Size from which `file` is put aside, with the time in its name; `0` is no size."""
    rotate_duration: Duration = 86400.0
    """Age from which `file` is put aside; `0` is no age."""
    rotate_max_files: Annotated[int, Field(ge=-1)] = 0
    """How many files that were put aside stay: `0` is all, `-1` none."""
