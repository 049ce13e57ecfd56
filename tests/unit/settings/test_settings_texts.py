"""A configuration arrives as a file, as text, as base64, or as base64 of gzip."""

from __future__ import annotations

import base64
import gzip
import os
from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import LoadedSettings, load_settings

TEXT = """\
auth: {method: aws_iam, role: wéb}
outputs:
  - {destination: /config/a, template: "x: ÿ"}
"""


def load_text(text: str) -> LoadedSettings:
    return load_settings(config_file=None, environ={"LEASEKEEPER_CONFIG": text}, overrides={})


def told_of_text(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    return "\n".join(caught.value.problems)


def told_of_file(path: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=str(path), environ={}, overrides={})
    return "\n".join(caught.value.problems)


def folded(data: bytes) -> str:
    return base64.encodebytes(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        base64.b64encode(TEXT.encode()).decode(),
        base64.b64encode(TEXT.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(TEXT.encode()).decode(),
        folded(TEXT.encode()),
        base64.b64encode(gzip.compress(TEXT.encode())).decode(),
        folded(gzip.compress(TEXT.encode())),
        base64.b64encode(b"\xef\xbb\xbf" + TEXT.encode()).decode(),
    ],
)
def test_the_text_may_be_packed(text: str) -> None:
    loaded = load_text(text)

    assert loaded.settings.outputs[0].template == "x: ÿ"
    source = loaded.source(("outputs", 0, "destination"))
    assert source == "environment LEASEKEEPER_CONFIG:3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/etc/leasekeeper.yaml", "the name of a file goes behind --config"),
        ("abcde", "is not valid base64; encode it with `base64 -w0`"),
        (base64.b64encode(b"\xff\xfe\x00a").decode(), "is UTF-16; save it as UTF-8"),
        (base64.b64encode(b"a: 1\nb: \xff").decode(), "is not UTF-8 in line 2"),
        (base64.b64encode(gzip.compress(b"a: 1", mtime=0)[:-3]).decode(), "damaged gzip"),
        (base64.b64encode(b"\x1f\x8bnonsense").decode(), "damaged gzip"),
        (base64.b64encode(gzip.compress(b"a" * 5_000_000, mtime=0)).decode(), "larger than 4 MiB"),
        (
            base64.b64encode(gzip.compress(b" " * 500_000_000, 1, mtime=0)).decode(),
            "larger than 4 MiB",
        ),
        ("#" * 4_300_000, "larger than 4 MiB"),
        ("just text", "environment LEASEKEEPER_CONFIG:1: needs keys and values"),
        ("auth: [", "environment LEASEKEEPER_CONFIG:1: is not valid YAML"),
        ("\udcff", "environment LEASEKEEPER_CONFIG: the value is not UTF-8"),
    ],
)
def test_text_that_cannot_be_unpacked_is_told(text: str, message: str) -> None:
    assert message in told_of_text(text)
    assert "there is no configuration" not in told_of_text(text)


def test_a_file_wins_over_the_text_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(TEXT)
    loaded = load_settings(
        config_file=str(file), environ={"LEASEKEEPER_CONFIG": "a: ["}, overrides={}
    )

    assert loaded.ignored == ("LEASEKEEPER_CONFIG",)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert told_of_file(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml: there is no such file"
    assert told_of_file("") == "--config: the name of the file is empty"
    assert told_of_file("a\x00b") == "a?b: is not the name of a file"


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    assert told_of_file(tmp_path) == f"{tmp_path}: is a directory; the name of a file is needed"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(TEXT)
    file.chmod(0)

    assert "may not be read by user" in told_of_file(file)


def test_a_refused_read_is_told_whoever_runs_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)

    assert told_of_file("/a.yaml") == (
        f"/a.yaml: may not be read by user {os.geteuid()}; change its mode or owner"
    )


def test_other_trouble_of_the_file_system_keeps_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    assert "loop: cannot be read: Too many levels of symbolic links" in told_of_file(
        tmp_path / "loop"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\n" * 900_000, "is larger than 4 MiB, which no configuration is"),
        (TEXT.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (TEXT.encode("latin-1"), "is not UTF-8 in line 1; save it as UTF-8"),
        (b"", "is empty"),
    ],
)
def test_bytes_that_are_no_configuration_are_told(
    tmp_path: Path, data: bytes, message: str
) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(data)

    assert message in told_of_file(file)
