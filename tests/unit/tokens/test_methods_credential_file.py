"""Credentials in files: read at every login, removed if asked for, and never lost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from leasekeeper.errors import LoginDenied, LoginInputError, VaultUnavailable
from leasekeeper.settings.model import AppRoleAuth, JwtAuth, KubernetesAuth
from leasekeeper.tokens.methods import create_method
from leasekeeper.tokens.methods.common import read_line
from leasekeeper.tokens.methods.credential_file import CredentialFile, Removal
from leasekeeper.vault.response import AuthData, VaultResponse
from tests.captured_logs import LoggedEvent, capture_logs


class Vault:
    """Gives a token for anything, and keeps what was sent."""

    clock_offset_s = None

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str], str | None]] = []

    async def login(
        self, mount: str, body: Mapping[str, str], *, namespace: str | None = None
    ) -> VaultResponse:
        self.sent.append((mount, dict(body), namespace))
        return VaultResponse(auth=AuthData(client_token="hvs.token"))

    async def lookup_token(self, token: str) -> VaultResponse:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def events() -> Iterator[list[LoggedEvent]]:
    with capture_logs() as captured:
        yield captured


def names(events: list[LoggedEvent]) -> list[str]:
    return [str(event["event"]) for event in events]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "credential"
    file.write_text("  one\n")
    return file


# -- reading --------------------------------------------------------------------------------------


async def test_the_file_is_read_every_time(path: Path) -> None:
    file = CredentialFile("JWT", str(path))
    assert await file.read() == "one"

    path.write_text("two")

    assert await file.read() == "two"


@pytest.mark.parametrize("content", [None, "", "two words", "x" * 100_000, b"\xff"])
async def test_the_last_good_value_outlives_its_file(path: Path, content: str | bytes) -> None:
    file = CredentialFile("JWT", str(path))
    await file.read()

    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert await file.read() == "one"


async def test_a_password_may_have_blanks_inside_but_only_one_line(path: Path) -> None:
    path.write_text(" correct horse \n")
    assert await CredentialFile("password", str(path), extract=read_line).read() == "correct horse"

    path.write_text("correct\nhorse")
    with pytest.raises(LoginInputError, match="holds something else"):
        await CredentialFile("password", str(path), extract=read_line).read()


async def test_a_pipe_does_not_keep_the_login_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(LoginInputError, match="not a regular file"):
        await CredentialFile("JWT", str(tmp_path / "pipe")).read()


async def test_a_directory_is_no_credential(tmp_path: Path) -> None:
    with pytest.raises(LoginInputError, match="not a regular file"):
        await CredentialFile("JWT", str(tmp_path)).read()


# -- removing -------------------------------------------------------------------------------------


async def test_a_file_stays_unless_its_removal_is_asked_for(path: Path) -> None:
    await CredentialFile("JWT", str(path)).read()

    assert path.exists()


async def test_a_removed_file_does_not_make_the_next_login_fail(path: Path) -> None:
    file = CredentialFile("JWT", str(path), removal=Removal())

    assert await file.read() == "one"
    assert not path.exists()
    assert await file.read() == "one"


async def test_each_new_file_is_removed(path: Path) -> None:
    file = CredentialFile("JWT", str(path), removal=Removal())
    await file.read()
    path.write_text("two")

    assert await file.read() == "two"
    assert not path.exists()


async def test_a_file_without_a_value_is_not_removed(path: Path) -> None:
    """It may be half written."""
    path.write_text("\n")

    with pytest.raises(LoginInputError):
        await CredentialFile("JWT", str(path), removal=Removal()).read()
    assert path.exists()


async def test_a_link_is_removed_and_not_what_it_points_to(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)

    assert await CredentialFile("JWT", str(link), removal=Removal()).read() == "one"
    assert not link.is_symlink()
    assert path.exists()


async def test_what_a_link_points_to_is_removed_when_links_are_followed(
    path: Path, tmp_path: Path
) -> None:
    link, middle = tmp_path / "link", tmp_path / "middle"
    middle.symlink_to(path)
    link.symlink_to(middle)
    file = CredentialFile("JWT", str(link), removal=Removal(through_links=True))

    assert await file.read() == "one"
    assert link.is_symlink()
    assert not path.exists()
    assert await file.read() == "one"


async def test_a_file_that_cannot_be_removed_is_mentioned_once(
    path: Path, events: list[LoggedEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", refuse)
    file = CredentialFile("JWT", str(path), removal=Removal())

    assert [await file.read() for _ in range(3)] == ["one"] * 3
    (warning,) = [event for event in events if event["log_level"] == "warning"]
    assert warning["event"] == "auth.file_not_removed"
    assert warning["error"] == "the JWT file cannot be removed: Permission denied"


# -- unwrapping -----------------------------------------------------------------------------------


class Unwrapping:
    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[str] = []

    async def __call__(self, text: str) -> str:
        self.asked.append(text)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_a_wrapped_value_is_unwrapped_once(path: Path) -> None:
    unwrap = Unwrapping("value")
    file = CredentialFile("secret id", str(path), unwrap=unwrap)

    assert [await file.read() for _ in range(3)] == ["value"] * 3
    assert unwrap.asked == ["one"]


async def test_a_wrapped_value_is_unwrapped_before_its_file_goes(path: Path) -> None:
    unwrap = Unwrapping(VaultUnavailable("away"), "value")
    file = CredentialFile("secret id", str(path), unwrap=unwrap, removal=Removal())

    with pytest.raises(VaultUnavailable):
        await file.read()
    assert path.exists()
    assert await file.read() == "value"
    assert not path.exists()


async def test_a_bad_wrapping_token_leaves_the_last_value_and_a_warning(
    path: Path, events: list[LoggedEvent]
) -> None:
    unwrap = Unwrapping("value", LoginDenied("made by another path", hint="look"), "new")
    file = CredentialFile("secret id", str(path), unwrap=unwrap)
    await file.read()

    path.write_text("forged")
    assert await file.read() == "value"
    assert names(events) == ["auth.unwrap_refused"]
    path.write_text("right")
    assert await file.read() == "new"


async def test_the_first_bad_wrapping_token_is_a_denial(path: Path) -> None:
    unwrap = Unwrapping(LoginDenied("made by another path"))

    with pytest.raises(LoginDenied):
        await CredentialFile("secret id", str(path), unwrap=unwrap, removal=Removal()).read()
    assert path.exists()


# -- what the methods send ------------------------------------------------------------------------


async def test_a_jwt_is_sent_with_its_role(path: Path) -> None:
    vault = Vault()
    auth = JwtAuth(
        role="web",
        path=str(path),
        mount="auth/gitlab",
        namespace="admin",
        remove_jwt_after_reading=True,
    )

    await create_method(auth).login(vault)

    assert vault.sent == [("gitlab", {"role": "web", "jwt": "one"}, "admin")]
    assert not path.exists()


async def test_a_service_account_token_is_sent_and_never_removed(path: Path) -> None:
    vault = Vault()
    method = create_method(KubernetesAuth(role="web", token_path=str(path)))

    await method.login(vault)
    path.write_text("two")  # the kubelet renews it
    await method.login(vault)

    assert [body["jwt"] for _, body, _ in vault.sent] == ["one", "two"]
    assert path.exists()


async def test_a_secret_id_outlives_the_removal_of_its_file(path: Path) -> None:
    vault = Vault()
    auth = AppRoleAuth(
        role_id="r", secret_id_file=str(path), remove_secret_id_file_after_reading=True
    )
    method = create_method(auth)

    await method.login(vault)
    await method.login(vault)

    assert [body for _, body, _ in vault.sent] == [{"role_id": "r", "secret_id": "one"}] * 2
    assert not path.exists()


async def test_values_are_not_in_what_is_logged_or_shown(
    path: Path, events: list[LoggedEvent]
) -> None:
    path.write_text("canary-of-a-jwt")
    method = create_method(JwtAuth(role="web", path=str(path), remove_jwt_after_reading=True))

    await method.login(Vault())
    await method.login(Vault())

    assert names(events) == ["auth.file_removed", "auth.file_gone"]
    assert "canary" not in f"{events} {method!r} {method.describe()}"
