"""`check --show` says what every setting is and where it comes from, and tells no secret."""

from __future__ import annotations

from leasekeeper.settings.describe import show
from leasekeeper.settings.loading import LoadedSettings, load_settings

TEXT = """\
auth:
  method: approle
  role_id: web
vault: {address: "https://vault:8200"}
outputs:
  - destination: /config/b
    template: |
      s3cret {{ x }}
      second line
    notify: {http: {url: "http://app/reload?token=s3cret"}}
  - {destination: /config/a, secret: a/b, format: json, validate_command: [check, "{}"]}
secrets: {overrides: {a/b: {static_secret_render_interval: 90s}}}
"""


def load(**environ: str) -> LoadedSettings:
    environ = {"LEASEKEEPER_CONFIG": TEXT, "LEASEKEEPER_AUTH__SECRET_ID": "s3cret-id"} | environ
    return load_settings(
        config_file=None, environ=environ, overrides={"lifecycle.exit_after_auth": True}
    )


def lines(**environ: str) -> dict[str, list[str]]:
    """Return value and source by key."""
    rows = (line.split(maxsplit=1) for line in show(load(**environ)).splitlines())
    return {name: [part.strip() for part in rest.split("  ") if part] for name, rest in rows}


def test_every_value_has_its_source() -> None:
    shown = lines()

    assert shown["auth.role_id"] == ['"web"', "environment LEASEKEEPER_CONFIG:3"]
    assert shown["lifecycle.exit_after_auth"] == ["true", "command line"]
    assert shown["outputs[1].validate_command"] == [
        '["check", "{}"]',
        "environment LEASEKEEPER_CONFIG:11",
    ]
    assert shown["outputs[0].mode"] == ['"0640"', "default"]
    assert shown["outputs[1].validate"] == ["-", "default"]
    assert shown['secrets.overrides["a/b"].static_secret_render_interval'] == [
        '"1m30s"',
        "environment LEASEKEEPER_CONFIG:12",
    ]


def test_no_secret_is_shown_and_templates_are_measured() -> None:
    text = show(load())

    assert "s3cret" not in text
    assert lines()["auth.secret_id"] == ['"**********"', "environment LEASEKEEPER_AUTH__SECRET_ID"]
    assert lines()["outputs[0].template"][0] == "(2 lines)"
    assert lines()["outputs[0].notify.http.url"][0] == '"http://app/reload?..."'


def test_keys_are_sorted_and_lists_by_number() -> None:
    more = {f"LEASEKEEPER_OUTPUTS__{n}__DESTINATION": f"/config/{n}" for n in range(2, 12)}
    more |= {f"LEASEKEEPER_OUTPUTS__{n}__TEMPLATE": "x" for n in range(2, 12)}
    names = [name for name in lines(**more) if name.endswith(".destination")]

    assert names == [f"outputs[{n}].destination" for n in range(12)]


def test_a_key_without_a_value_has_its_default() -> None:
    text = TEXT.replace('vault: {address: "https://vault:8200"}', "vault:\nweb: {listen: }")
    shown = lines(LEASEKEEPER_CONFIG=text)

    assert shown["vault.address"] == ['"https://127.0.0.1:8200"', "default"]
    assert shown["web.listen"] == ['"127.0.0.1:8210"', "default"]


def test_variables_without_effect_are_named() -> None:
    assert show(load(VAULT_ROLE="x")).endswith(
        "\nignored: VAULT_ROLE, because a configuration was given\n"
    )


def test_settings_and_their_sources_hide_secrets_in_repr() -> None:
    assert "s3cret-id" not in repr(load())
