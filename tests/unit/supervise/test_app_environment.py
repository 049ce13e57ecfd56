"""What the application finds in its environment, and what cannot be there."""

from __future__ import annotations

import pytest

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.supervise.environment import EnvironmentSource, child_environ
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext, Rendered
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import VaultResponse

CANARY = "hunter2-canary"


def source(**variables: str) -> EnvironmentSource:
    return EnvironmentSource(
        [
            (name, Template.compile(text, name=name, functions=library()))
            for name, text in variables.items()
        ]
    )


def render(environment: EnvironmentSource, **secrets: object) -> Rendered:
    def snapshot(request: SecretRequest) -> Snapshot | None:
        if request.path not in secrets:
            return None
        return Snapshot(
            request=request,
            kind=SecretKind.STATIC,
            response=VaultResponse(data={"value": secrets[request.path]}),
            generation=1,
            issued_at=0.0,
        )

    return environment.render(RenderContext(secret=snapshot))


def value(path: str) -> str:
    return f'{{{{ with secret "{path}" }}}}{{{{ .Data.value }}}}{{{{ end }}}}'


def test_there_is_no_environment_while_one_variable_is_missing() -> None:
    environment = source(A=value("a"), B="plain", C=value("c"))

    first = render(environment, a="1")
    second = render(environment, a="1", c="3")

    assert first.text is None
    assert {each.name for each in first.missing} == {"c"}
    assert {each.name for each in first.used} == {"a", "c"}
    assert second.text == "A=1\0B=plain\0C=3"


def test_a_failing_variable_does_not_keep_the_others_from_asking() -> None:
    environment = source(A='{{ with secret "a" }}{{ .Data.nope }}{{ end }}', B=value("b"))
    asked: list[str] = []

    def snapshot(request: SecretRequest) -> Snapshot | None:
        asked.append(request.path)
        return None if request.path == "b" else Snapshot(
            request=request, kind=SecretKind.STATIC, response=VaultResponse(data={"value": "1"}),
            generation=1, issued_at=0.0,
        )  # fmt: skip

    with pytest.raises(TemplateRenderError, match="nope"):
        environment.render(RenderContext(secret=snapshot))
    assert set(asked) == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{CANARY}\0x", "holds a NUL byte"),
        (CANARY * 10_000, "longer than the 131071 bytes"),
        ("é" * 65_535, "longer than the 131071 bytes"),
    ],
)
def test_what_no_variable_can_hold_is_an_error_that_tells_no_value(text: str, words: str) -> None:
    with pytest.raises(TemplateRenderError, match=words) as raised:
        render(source(A=value("a")), a=text)
    assert CANARY not in str(raised.value)
    assert "A" in raised.value.message


def test_the_longest_value_that_linux_takes_is_taken() -> None:
    assert render(source(A=value("a")), a="x" * 131_069).text is not None


def test_rendered_variables_replace_inherited_ones_and_ours_stay_behind() -> None:
    inherited = {"A": "old", "B": "kept", "LEASEKEEPER_AUTH__SECRET_ID": CANARY, "VAULT_ADDR": "v"}

    assert child_environ(inherited, b"A=1=2\n\0E=\0U=\xff") == {
        "A": "1=2\n",
        "B": "kept",
        "E": "",
        "U": "\udcff",
        "VAULT_ADDR": "v",
    }
    assert child_environ(inherited, None) == {"A": "old", "B": "kept", "VAULT_ADDR": "v"}
