"""secret, secrets and pkiCert ask the right question and show the answer as Vault Agent does."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.templates.functions import functions
from leasekeeper.templates.source import RenderContext, Rendered
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import AuthData, JsonNumber, VaultResponse, WrapInfo

APP = SecretRequest.read("secret/data/app")
ANSWER = VaultResponse(
    request_id="id",
    lease_id="database/creds/app/x",
    lease_duration_s=3600,
    renewable=True,
    data={"user": "web", "port": JsonNumber("5432"), "deep": {"k": "v"}},
    warnings=("careful",),
)


def _compile(text: str) -> Template:
    return Template.compile(text, name="t", functions=functions(), error_on_missing_key=False)


def _render(text: str, answers: Mapping[SecretRequest, VaultResponse] | None = None) -> Rendered:
    snapshots = {
        request: Snapshot(
            request=request, kind=SecretKind.STATIC, response=answer, generation=1, issued_at=0
        )
        for request, answer in (answers or {}).items()
    }
    return _compile(text).render(RenderContext(secret=snapshots.get))


# --- questions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ('secret " /secret/data/app/ "', APP),
        ('secret "secret/data/app?version=3"', SecretRequest.read("secret/data/app?version=3")),
        (
            'secret "pki/issue/web" "ttl = 1h" "common_name=a=b"',
            SecretRequest.write("pki/issue/web", {"common_name": "a=b", "ttl": "1h"}),
        ),
        ('secret "pki/issue/web" ""', SecretRequest.write("pki/issue/web", {})),
        ('"secret/data/app" | secret', APP),
        ('secrets "secret/metadata/"', SecretRequest.list("secret/metadata")),
        ('pkiCert "pki/issue/web"', SecretRequest.write("pki/issue/web", {})),
        (
            'pkiCert "pki/issue/web" "common_name=a"',
            SecretRequest.write("pki/issue/web", {"common_name": "a"}),
        ),
    ],
)
def test_a_call_with_constants_asks_the_question_that_can_be_read_off_it(
    call: str, request_: SecretRequest
) -> None:
    text = f"{{{{ {call} }}}}"

    assert _compile(text).static_requests() == {request_}
    assert _render(text).missing == {request_}


@pytest.mark.parametrize(
    "text",
    ["{{ secret }}", '{{ secrets "" }}', "{{ pkiCert }}", '{{ secret (env "PATH_OF_SECRET") }}'],
)
def test_a_call_that_asks_nothing_or_is_not_constant_has_no_static_request(text: str) -> None:
    assert _compile(text).static_requests() == frozenset()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('secret ""', 'vault.read: invalid format: ""'),
        ('secret " / "', 'vault.read: invalid format: ""'),
        ('secret "" "a=b"', 'vault.write: invalid format: ""'),
        ('secret "a" "b"', 'not k=v pair "b"'),
        ('secret "a%zz"', 'parse "a%zz": invalid URL escape "%zz"'),
        ('secrets "/"', 'vault.list: invalid format: ""'),
        ('pkiCert "a" "b"', 'not k=v pair "b"'),
    ],
)
def test_a_call_that_makes_no_sense_fails_in_the_words_of_vault_agent(
    call: str, message: str
) -> None:
    with pytest.raises(TemplateRenderError) as caught:
        _render(f"{{{{ {call} }}}}")

    assert caught.value.message.endswith(f"error calling {call.split()[0]}: {message}")


# --- answers ----------------------------------------------------------------------------------


def test_a_secret_shows_every_field_of_the_answer() -> None:
    text = (
        '{{ with secret "secret/data/app" }}{{ .RequestID }} {{ .LeaseID }} {{ .LeaseDuration }}'
        " {{ .Renewable }} {{ .Data.port }} {{ .Warnings }} {{ .Auth }} {{ .WrapInfo }}"
        ' {{ printf "%T" . }}{{ end }}'
    )

    assert _render(text, {APP: ANSWER}).text == (
        "id database/creds/app/x 3600 true 5432 [careful] <nil> <nil> *dependency.Secret"
    )


def test_what_escapes_a_secret_prints_it_as_an_action_does() -> None:
    text = '{{ with secret "secret/data/app" }}%s{{ end }}'
    shown = _render(text % "{{ . }}", {APP: ANSWER}).text

    assert shown is not None
    assert shown.startswith("{id ")
    assert _render(text % "{{ html . 1 }}", {APP: ANSWER}).text == (
        shown.replace("<", "&lt;").replace(">", "&gt;") + " 1"
    )
    assert (_render(text % "{{ print . }}", {APP: ANSWER}).text or "").startswith("&{id ")


def test_a_login_shows_its_auth_and_a_wrapped_answer_its_wrapping() -> None:
    login = SecretRequest.write("auth/x/login", {})
    auth = AuthData(
        client_token="s.t", accessor="acc", policies=("a", "b"), metadata={"role": "web"}
    )
    wrap = WrapInfo(
        token="s.w", ttl_s=120, creation_time="2024-01-02T03:04:05.678Z", wrapped_accessor="wacc"
    )
    text = (
        '{{ with secret "auth/x/login" "" }}{{ .Auth.ClientToken }} {{ .Auth.Policies }}'
        " {{ .Auth.Metadata.role }} {{ .WrapInfo.Token }} {{ .WrapInfo.CreationTime }}{{ end }}"
    )

    rendered = _render(text, {login: VaultResponse(request_id="r", auth=auth, wrap_info=wrap)})

    assert rendered.text == "s.t [a b] web s.w 2024-01-02 03:04:05.678 +0000 UTC"


def test_an_answer_without_content_is_nil() -> None:
    """KV version 1 answers a write with nothing."""
    write = SecretRequest.write("kv/x", {"a": "1"})
    text = '{{ with secret "kv/x" "a=1" }}yes{{ else }}no{{ end }}'

    assert _render(text, {write: VaultResponse()}).text == "no"


def test_what_a_template_changes_in_a_secret_it_finds_again_but_nobody_else_does() -> None:
    text = (
        '{{ with secret "secret/data/app" }}{{ $_ := sprig_set .Data.deep "k" "changed" }}{{ end }}'
        '{{ with secret "secret/data/app" }}{{ .Data.deep.k }}{{ end }}'
    )

    assert _render(text, {APP: ANSWER}).text == "changed"
    assert ANSWER.data is not None
    assert ANSWER.data["deep"] == {"k": "v"}


def test_secret_values_do_not_show_in_the_repr_of_what_templates_hold() -> None:
    from leasekeeper.templates.functions.secret_values import secret_of

    assert "web" not in repr(secret_of(ANSWER))


def test_a_listing_is_sorted_by_bytes_and_a_missing_folder_is_empty() -> None:
    names = {"keys": ["b", "a/", "Z", "é"]}
    listed = SecretRequest.list("secret/x")
    nothing = SecretRequest.list("secret/none")
    text = '{{ secrets "secret/x" | join "," }}[{{ range secrets "secret/none" }}x{{ end }}]'

    rendered = _render(text, {listed: VaultResponse(data=names), nothing: VaultResponse(data={})})

    assert rendered.text == "Z,a/,b,é[]"


def test_certificate_key_and_chain_come_from_one_answer() -> None:
    request = SecretRequest.write("pki/issue/web", {"common_name": "a"})
    answer = VaultResponse(
        request_id="r",
        data={
            "certificate": "CERT",
            "private_key": "KEY\n",
            "issuing_ca": "CA",
            "ca_chain": ["CA", "ROOT"],
        },
    )
    text = (
        '{{ with pkiCert "pki/issue/web" "common_name=a" }}{{ .Cert }}{{ .Data.Key }}{{ .CA }}'
        "{{ range .CAChain }}<{{ . }}>{{ end }}{{ end }}"
    )

    assert _render(text, {request: answer}).text == "CERT\nKEY\nCA\n<CA\n><ROOT\n>"


def test_a_statement_that_waits_for_a_secret_leaves_the_rest_of_the_template_to_ask_for_more() -> (
    None
):
    rendered = _render('{{ (secret "a").Data.x | toUpper }}{{ secret "b" }}{{ env "X" }}')

    assert rendered.text is None
    assert rendered.missing == {SecretRequest.read("a"), SecretRequest.read("b")}
