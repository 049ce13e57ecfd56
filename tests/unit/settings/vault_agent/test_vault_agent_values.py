"""Values are read as Go reads them, and where that is a trap, refused with the way out."""

from __future__ import annotations

import pytest

from leasekeeper.settings.vault_agent import values
from leasekeeper.settings.vault_agent.hcl import read_hcl
from leasekeeper.settings.vault_agent.tree import Node


def node(text: str) -> Node:
    return read_hcl(f"key = {text}\n").items[0].node


def reason(read: object, text: str) -> str:
    assert callable(read)
    with pytest.raises(ValueError, match=r".") as caught:
        read(node(text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        ('"300"', 300),
        ('"5m"', 300),
        ('"1h30m"', 5400),
        ('"1.5s"', 1.5),
        ('".5s"', 0.5),
        ('"250ms"', 0.25),
        ('"100us"', 0.0001),
        ('"2d"', 172800),
        ('"0"', 0),
        ("0", 0),
        ("1.9", 1),  # Go cuts it off
        ('"+5s"', 5),
    ],
)
def test_durations_are_seconds_or_have_units(text: str, seconds: float) -> None:
    assert values.seconds(node(text)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ['"5"', '"x"', '"5 m"', '"5y"', '"1d12h"', "true", "[]", "{}", '"-5s"', "-1", '"99999d"'],
)
def test_other_durations_are_refused(text: str) -> None:
    if text == '"5"':
        assert reason(values.timeout, text)
    else:
        assert "duration" in reason(values.seconds, text)


def test_where_the_agent_reads_nanoseconds_a_unit_is_needed() -> None:
    assert values.timeout(node('"30s"')) == 30
    assert values.timeout(node("0")) == 0
    assert "nanoseconds" in reason(values.timeout, "30")
    assert "unit" in reason(values.timeout, '"2d"')
    assert "unit" in reason(values.timeout, "false")


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("true", True),
        ("false", False),
        ('"true"', True),
        ('"False"', False),
        ('"1"', True),
        ("1", True),
        ("0", False),
        ('""', False),
    ],
)
def test_flags_can_be_text_or_numbers(text: str, flag: bool) -> None:
    assert values.flag(node(text)) is flag


@pytest.mark.parametrize("text", ['"yes"', '"on"', "1.5", "[]", "{}"])
def test_other_flags_are_refused(text: str) -> None:
    assert reason(values.flag, text) == "needs true or false"


@pytest.mark.parametrize(
    ("text", "number"), [("5", 5), ('"5"', 5), ('"0640"', 416), ('"0x10"', 16), ("-1", -1)]
)
def test_numbers_can_be_text(text: str, number: int) -> None:
    assert values.number(node(text)) == number


@pytest.mark.parametrize("text", ["1.5", '"1.5"', '"x"', '""', "true", "[]", '"089"'])
def test_other_numbers_are_refused(text: str) -> None:
    assert reason(values.number, text) == "needs a whole number"


def test_a_number_is_text_as_it_is_written() -> None:
    assert values.text(node("0640")) == "0640"
    assert values.text(node("1.50")) == "1.50"
    assert "quotes" in reason(values.text, "true")
    assert "quotes" in reason(values.text, '["a"]')


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ('"0640"', "0640"),
        ('"640"', "0640"),
        ("0640", "0640"),
        ("416", "0640"),
        ('"1777"', "0777"),
        ('"4755"', "0755"),
        ('"0"', ""),
        ("0", ""),
    ],
)
def test_modes_are_octal_and_lose_their_special_bits(text: str, mode: str) -> None:
    assert values.perms(node(text)) == mode


@pytest.mark.parametrize("text", ["640", "600", "0o640", '"rw-r-----"', '"999"', '"77777"', "true"])
def test_a_mode_that_would_be_another_one_than_it_looks_is_refused(text: str) -> None:
    """Vault Agent makes `perms = 640` the mode 0200."""
    if text == "0o640":
        text = '"0o640"'
    assert "0640" in reason(values.perms, text)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('"reload"', ["reload"]),
        ('"kill -HUP 1"', ["sh", "-c", "kill -HUP 1"]),
        ('["kill", "-HUP", "1"]', ["kill", "-HUP", "1"]),
        ('["kill -HUP 1"]', ["sh", "-c", "kill -HUP 1"]),
        ('["a b", "c"]', ["a b", "c"]),
        ('"kill,-HUP,1"', ["kill", "-HUP", "1"]),
        # Vault Agent would look for a program called "echo a".
        ('"echo a,b"', ["sh", "-c", "echo a,b"]),
        ('""', []),
        ("[]", []),
        ('[""]', []),
    ],
)
def test_commands_run_directly_or_in_a_shell(text: str, command: list[str]) -> None:
    assert values.command(node(text)) == command


def test_log_levels_and_formats_have_our_names() -> None:
    assert [values.level(node(f'"{level}"')) for level in ("WARN", "err", "notice", "trace")] == [
        "warning",
        "error",
        "info",
        "trace",
    ]
    assert values.log_format(node('"Standard"')) == "console"
    assert values.log_format(node('"JSON"')) == "json"
    assert "warn" in reason(values.level, '"loud"')
    assert "standard" in reason(values.log_format, '"xml"')


def test_parts_of_the_agent_have_names() -> None:
    read = values.subsystems("disable_keep_alives")

    assert read(node('["auto-auth", "templating"]')) == ["auto-auth", "templating"]
    assert reason(read, '["caching", "x"]').startswith("unknown disable_keep_alives value")


def test_no_message_repeats_the_value() -> None:
    for read in (values.seconds, values.timeout, values.flag, values.number, values.perms):
        assert "s3cr3t" not in reason(read, '"s3cr3t"')
    for read in (values.level, values.log_format, values.one_of("tcp")):
        assert "s3cr3t" not in reason(read, '"s3cr3t"')
