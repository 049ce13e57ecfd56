"""The one configuration model. Every way in (YAML, environment, Vault Agent files) ends here.

Each field's docstring is its documentation: `docs/configuration.md` and the JSON Schema are made
from it. Secrets are `SecretStr`; validation errors hide their input.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from leasekeeper.settings import checks
from leasekeeper.settings.auth import AppRoleAuth as AppRoleAuth
from leasekeeper.settings.auth import Auth as Auth
from leasekeeper.settings.auth import AwsEc2Auth as AwsEc2Auth
from leasekeeper.settings.auth import AwsIamAuth as AwsIamAuth
from leasekeeper.settings.auth import CertAuth as CertAuth
from leasekeeper.settings.auth import JwtAuth as JwtAuth
from leasekeeper.settings.auth import KubernetesAuth as KubernetesAuth
from leasekeeper.settings.auth import LdapAuth as LdapAuth
from leasekeeper.settings.auth import TokenFileAuth as TokenFileAuth
from leasekeeper.settings.durations import Duration, Timeout
from leasekeeper.settings.execution import EnvSection as EnvSection
from leasekeeper.settings.execution import ExecSection as ExecSection
from leasekeeper.settings.fields import (
    Account,
    Destination,
    FilePath,
    ModeOrKeep,
    Namespace,
    Section,
    Text,
)
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.groups import clashes as group_clashes
from leasekeeper.settings.notify import CommandNotify as CommandNotify
from leasekeeper.settings.notify import HttpNotify as HttpNotify
from leasekeeper.settings.notify import Notify as Notify
from leasekeeper.settings.notify import SignalNotify as SignalNotify
from leasekeeper.settings.process import ListenerSection as ListenerSection
from leasekeeper.settings.process import LogSection as LogSection
from leasekeeper.settings.process import TracesSection as TracesSection
from leasekeeper.settings.process import WebSection as WebSection
from leasekeeper.settings.sinks import SinkSection
from leasekeeper.settings.state import StateEncryption as StateEncryption
from leasekeeper.settings.state import StateSection


class VaultSection(Section):
    """Where Vault (or OpenBao) is and how to talk to it."""

    address: Annotated[str, AfterValidator(checks.server_url)] = "https://127.0.0.1:8200"
    """URL of the server: scheme, host and port, nothing behind them."""
    namespace: Namespace = ""
    """Namespace (Vault Enterprise, HCP, OpenBao) of every request."""
    ca_file: FilePath | None = None
    """PEM file with the certificate authorities to trust instead of the system's."""
    ca_pem: Text | None = None
    """Certificate authorities to trust, the text of a PEM file itself."""
    ca_path: FilePath | None = None
    """Directory of PEM files to trust."""
    client_cert_file: FilePath | None = None
    """PEM file of the TLS client certificate."""
    client_key_file: FilePath | None = None
    """PEM file of the TLS client key."""
    tls_server_name: Text | None = None
    """Name to expect in the server's certificate."""
    tls_skip_verify: bool = False
    """Do not verify the server's certificate. Only for experiments."""
    timeout: Timeout = 30.0
    """Longest time for one request, connection included."""
    max_connections: Annotated[int, Field(ge=1, le=100)] = 8
    """How many requests run at the same time, and so how many connections are kept open. One that
    has had no answer for 2 s is not counted: what hangs holds nothing else up."""
    rate_limit: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] = 0.0
    """Most requests per second, over time; `0` is no limit. Requests for tokens and for what is
    about to end go first, probes last."""
    rate_burst: Annotated[int, Field(ge=0, le=100_000)] = 0
    """How many requests may be sent at once before `rate_limit` applies; `0` is as many as
    `rate_limit` allows in a second."""

    @model_validator(mode="after")
    def _check(self) -> VaultSection:
        if (self.client_cert_file is None) != (self.client_key_file is None):
            msg = "client_cert_file and client_key_file only work together"
            raise ValueError(msg)
        return self


class WaitSection(Section):
    """How long changes are collected, so that several become one file and one notification."""

    min: Timeout
    """Time without another change after which the file is made."""
    max: Timeout | None = None
    """Time after the first change at which it is made in any case. Default: four times `min`. A
    credential that ended meanwhile would still be on disk: keep it below `secrets.overlap`."""

    @property
    def longest_s(self) -> float:
        """The longest wait, in seconds."""
        return 4 * self.min if self.max is None else self.max

    @model_validator(mode="after")
    def _check(self) -> WaitSection:
        if self.min > self.longest_s:
            msg = "min cannot be longer than max"
            raise ValueError(msg)
        return self


class OutputSection(Section):
    """One file for the application."""

    destination: Destination
    """Absolute path of the file. Its directory must exist unless `create_dest_dirs` is on."""
    template: Text | None = None
    """The template itself, in the language of Vault Agent (Go templates)."""
    template_file: FilePath | None = None
    """File with the template; read at start and on SIGHUP."""
    secret: Text | None = None
    """Path of one secret that is written out whole in `format`, without a template."""
    format: Literal["json", "yaml", "dotenv", "properties"] | None = None
    """How `secret` is written."""
    name: Annotated[Text, AfterValidator(checks.output_name)] | None = None
    """Name in logs, health and metrics. Default: the destination."""
    mode: ModeOrKeep = 0o640
    """File mode, an octal string in quotes. It is restored when somebody changes it. `keep` is the
    mode of the file that is there, or 0644 for a new one."""
    user: Account | None = None
    """Owner, name or number. Needs the privilege to change owners."""
    group: Account | None = None
    """Group, name or number."""
    create_dest_dirs: bool = True
    """Create missing parent directories with mode 0755."""
    backup: bool = False
    """Keep the file before as `<destination>.bak`, with its mode and owner. Not for files of a
    group, whose folders are kept instead. Without it no old credential stays on disk."""
    wait: WaitSection | None = None
    """Let changes come to rest before they are published, once every output has been."""
    validate_as: Annotated[
        Literal["json", "yaml", "dotenv", "toml"] | None, Field(alias="validate")
    ] = None
    """Refuse to publish content that does not parse."""
    validate_command: Annotated[list[str], Field(min_length=1)] | None = None
    """Program that checks the new content; `{}` stands for the path of the file to check, which is
    not yet at its destination. Any exit code but 0 keeps the last good file."""
    validate_timeout: Timeout = 10.0
    """Longest time for `validate_command`."""
    error_on_missing_key: bool = True
    """Fail instead of writing `<no value>` when a template uses a key that does not exist."""
    left_delimiter: Text = "{{"
    """Start of an action in the template."""
    right_delimiter: Text = "}}"
    """End of an action in the template."""
    function_denylist: list[Text] = Field(default_factory=list)
    """Functions that the template may not call; `*` and `?` stand for any name."""
    sandbox_path: FilePath | None = None
    """Directory that the template's function `file` may not leave."""
    notify: Notify | None = None
    """How to tell the application about a new file."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    @property
    def label(self) -> str:
        """The output's name in logs, health and metrics."""
        return self.name or self.destination

    @model_validator(mode="after")
    def _check(self) -> OutputSection:
        sources = (self.template, self.template_file, self.secret)
        if sum(source is not None for source in sources) != 1:
            msg = "exactly one of template, template_file and secret is needed"
            raise ValueError(msg)
        if (self.secret is None) != (self.format is None):
            msg = "secret and format only work together; format is json, yaml, dotenv or properties"
            raise ValueError(msg)
        return self


class SecretOverride(Section):
    """Settings of one secret."""

    static_secret_render_interval: Duration | None = None
    """How often this secret is read again; `0` is never."""


class MintBudget(Section):
    """How many new values a secret may cost when something keeps taking them away. A rotation by
    plan costs nothing; a value that is replaced before two fifths of its life, that is asked for
    at a start, or whose answer was lost costs one."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Values at once; after that, one for every `window` / `count`."""
    window: Timeout = 600.0
    """Time after which a spent budget is whole again."""


class SecretsSection(Section):
    """How secrets are kept fresh."""

    static_secret_render_interval: Duration = 300.0
    """How often secrets without a lease (KV v1 and v2, lists) are read again; `0` is never."""
    overlap: Duration = 30.0
    """How long an old and a new credential should both work after a rotation, as far as the
    lease's own TTL allows (never more than half of it)."""
    mint_budget: MintBudget = MintBudget()
    """Bound on the new values of each secret."""
    overrides: dict[str, SecretOverride] = Field(default_factory=dict)
    """Settings by secret path, as the path is written in the template."""


class ProbeSection(Section):
    """Looking for tokens and leases that were revoked behind our back."""

    interval: Duration = 30.0
    """How often the token and every lease are looked up; `0` is never."""


class LifecycleSection(Section):
    """Starting and stopping."""

    exit_after_auth: bool = False
    """Publish every output once and exit. `--once` sets it too."""
    pid_file: FilePath | None = None
    """File with the process id, mode 0644; it is removed in the end."""
    startup_deadline: Duration = 60.0
    """Every output must have been published once within this time, or the process ends with the
    exit code of what is missing; `0` waits for ever."""
    failure_grace: Duration = 15.0
    """How long an error that time alone does not mend (a denied login, a missing key) may last at
    start before it ends the process: policies changed with a deployment take a moment to arrive."""
    retry_grace: Duration = 0.0
    """How long any error may last at start once there is a token, even if a retry could mend it,
    before it ends the process; `0` leaves that to `startup_deadline`."""
    shutdown_deadline: Timeout = 10.0
    """Longest time for a clean stop; keep it below the task's `stopTimeout` (30 s by default)."""
    on_exit: Literal["keep", "revoke"] = "keep"
    """Whether the token, and with it every lease, is revoked at the end. On ECS only when the
    whole task stops: the application goes on while this container alone is replaced."""
    remove_files: bool = False
    """Remove the files of outputs and sinks at the end, before the token is revoked; on ECS only
    when the whole task stops. A file that another task has replaced meanwhile stays."""
    remove_dead_tasks: Duration = 86400.0
    """When folders are named after `{task_id}`: how long the task of another one must have been
    silent until our files in it, those that its marker names, are removed; `0` is never."""
    expiry_grace: Duration = 0.0
    """How long after the end of a credential on disk health turns unhealthy."""
    publish_deadline: Timeout = 30.0
    """Longest time for one file to be written before the output counts as failed."""
    repair_interval: Duration = 15.0
    """How often files are compared with what was published and repaired; `0` is never."""

    @model_validator(mode="after")
    def _check(self) -> LifecycleSection:
        if self.remove_files and self.exit_after_auth:
            msg = "remove_files would take away what exit_after_auth has just published"
            raise ValueError(msg)
        return self


class SharedSection(Section):
    """Several tasks with the same outputs on one volume: one leads, the others read its files."""

    directory: Destination | None = None
    """Folder on the shared volume where the tasks agree on who leads. Without it every task is on
    its own. With it only the leader logs in and writes; `secrets.overlap` is at least 60 s, the
    time for which another client of a network file system may see an old file."""
    takeover_after: Annotated[Timeout, Field(ge=3)] = 30.0
    """How long a leader that lives, but has stopped writing to the volume, is waited for. One that
    ends is replaced within seconds."""


class Settings(Section):
    """The configuration of Leasekeeper."""

    vault: VaultSection = VaultSection()
    """Where Vault is."""
    auth: Auth
    """How to log in."""
    outputs: list[OutputSection] = Field(default_factory=list)
    """The files to write."""
    groups: list[GroupSection] = Field(default_factory=list)
    """Outputs that change together."""
    shared: SharedSection = SharedSection()
    """Several tasks on one volume."""
    sinks: list[SinkSection] = Field(default_factory=list)
    """Files with the Vault token."""
    exec: ExecSection | None = None
    """The application, run as a child."""
    secrets: SecretsSection = SecretsSection()
    """How secrets are kept fresh."""
    probe: ProbeSection = ProbeSection()
    """Looking for revocations."""
    state: StateSection = StateSection()
    """What survives a restart."""
    web: WebSection = WebSection()
    """The HTTP server."""
    log: LogSection = LogSection()
    """Logging."""
    traces: TracesSection = TracesSection()
    """Traces of requests."""
    lifecycle: LifecycleSection = LifecycleSection()
    """Starting and stopping."""

    @property
    def control_token_file(self) -> str | None:
        """Where the token of the control API is written, if there is one."""
        if self.web.control_token_file is not None or self.state.path is None:
            return self.web.control_token_file
        return os.path.join(self.state.path, "control.token")

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.shared.directory is not None and (
            self.sinks
            or self.exec is not None
            or self.lifecycle.remove_files
            or self.lifecycle.on_exit == "revoke"
        ):
            msg = (
                "shared.directory does not work with sinks, exec, lifecycle.remove_files and "
                "lifecycle.on_exit: revoke, as other tasks go on with what one leaves behind"
            )
            raise ValueError(msg)
        if not self.outputs and not self.sinks and self.exec is None:
            msg = "outputs or sinks: at least one item is needed"
            raise ValueError(msg)
        told: list[OutputSection | GroupSection] = [*self.outputs, *self.groups]
        if self.auth.wrap_ttl and (
            fault := checks.unwrappable(
                self.auth.method,
                templates=bool(self.outputs) or self.exec is not None,
                sinks=[sink.wrap_ttl for sink in self.sinks],
                state=self.state.path is not None,
            )
        ):
            msg = f"auth.wrap_ttl: {fault}"
            raise ValueError(msg)
        if self.exec is None and any(one.notify and one.notify.exec for one in told):
            msg = "notify.exec needs a section exec, whose program it tells"
            raise ValueError(msg)
        outputs = [(output.destination, output.name) for output in self.outputs]
        for clash in checks.clashes(outputs, [sink.path for sink in self.sinks]):
            msg = f"{clash.section}[{clash.position}].{clash.key}: {clash.text}"
            raise ValueError(msg)
        links = [group.link for group in self.groups]
        paths = [path for path, _ in outputs]
        for index, text in group_clashes(links, paths, [sink.path for sink in self.sinks]):
            msg = f"groups[{index}].link: {text}"
            raise ValueError(msg)
        return self
