"""What single values may look like, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from leasekeeper.settings import checks
from leasekeeper.settings.durations import format_duration, parse_duration
from leasekeeper.settings.model import OutputSection, Settings, VaultSection


def output(**fields: Any) -> OutputSection:
    return OutputSection.model_validate({"destination": "/a", "template": "x"} | fields)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://vault.example.com:8200", "https://vault.example.com:8200"),
        ("https://vault.example.com:8200/", "https://vault.example.com:8200"),
        ("HTTP://vault", "http://vault"),
        ("http://[::1]:8200", "http://[::1]:8200"),
        ("https://vault_1.internal", "https://vault_1.internal"),
        ("https://bücher.example", "https://bücher.example"),
    ],
)
def test_the_address_is_scheme_host_and_port(given: str, used: str) -> None:
    assert VaultSection(address=given).address == used


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault:8200",
        "vault.example.com",
        "ftp://vault",
        "unix:///run/vault.sock",
        "https://",
        "https://:8200",
        "https://vault:99999",
        "https://vault:port",
        "https://vault/ui",
        "https://vault/?x=1",
        "https://vault#x",
        "https://user@vault",
        "https://user:word@vault",
        "https://:word@vault",
        "https://va ult",
        "https://vault\n",
        "https://vault\\@evil",
        "https://[::1",
        "https://[v1.x]",
        "https://{{host}}",
        "https://va\u2100lt",
    ],
)
def test_an_address_with_more_or_less_than_that_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        VaultSection(address=address)


def test_plain_http_is_allowed() -> None:
    assert VaultSection(address="http://vault.example.com:8200").address.startswith("http:")


@pytest.mark.parametrize(
    ("given", "used"),
    [("aws", "aws"), ("auth/aws", "aws"), ("/auth/aws/", "aws"), ("teams/a/aws", "teams/a/aws")],
)
def test_a_mount_may_be_spelt_as_vault_agent_spells_it(given: str, used: str) -> None:
    assert checks.mount_path(given) == used


@pytest.mark.parametrize("mount", ["", "/", "a b", "a?b", "a//b", "a/../b", "a\nb", "a%2fb"])
def test_a_mount_that_is_no_path_is_refused(mount: str) -> None:
    with pytest.raises(ValueError, match="needs the path of an auth mount"):
        checks.mount_path(mount)


@pytest.mark.parametrize(
    "region",
    [
        "us-east-1",
        "eu-central-2",
        "ap-southeast-7",
        "us-gov-west-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "cn-northwest-1",
        "eusc-de-east-1",
        "il-central-1",
        "global",
    ],
)
def test_regions_of_all_partitions_are_known_by_their_look(region: str) -> None:
    assert checks.sts_region(region) == region


@pytest.mark.parametrize(
    "region", ["", "us-east-1a", "us_east_1", "US-EAST-1", "useast1", "aws-global", "us-east"]
)
def test_what_cannot_be_a_region_is_refused(region: str) -> None:
    with pytest.raises(ValueError, match="needs the name of a region"):
        checks.sts_region(region)


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1:8210", "0.0.0.0:80", ":8210", "localhost:0", "[::1]:8210", "web_1.local:65535"],
)
def test_an_address_to_listen_at_has_a_port(listen: str) -> None:
    assert checks.listen_address(listen) == listen


@pytest.mark.parametrize("listen", ["", "off"])
def test_the_server_can_be_off(listen: str) -> None:
    assert checks.listen_address(listen) == ""


@pytest.mark.parametrize(
    "listen",
    ["8210", "127.0.0.1", "127.0.0.1:", "a:65536", "::1:80", "http://a:80", "a:８0", "a b:1"],
)
def test_what_nothing_can_listen_at_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="needs an address and a port"):
        checks.listen_address(listen)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("/config/a.json", "/config/a.json"),
        ("//config///a.json", "/config/a.json"),
        ("/config/./a.json", "/config/a.json"),
        ("/config/../a.json", "/config/../a.json"),
        ("/config/{task_id}/a b.json", "/config/{task_id}/a b.json"),
    ],
)
def test_a_destination_is_an_absolute_path_written_plainly(given: str, used: str) -> None:
    assert output(destination=given).destination == used


@pytest.mark.parametrize(
    "path", ["", "a", "./a", "/", "/a/", "/a/.", "/a/..", "/a\x00b", "/a\nb", "~/a", "/a\u2028"]
)
def test_a_destination_that_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        output(destination=path)


@pytest.mark.parametrize(
    ("one", "other"),
    [("/a/b", "/a/b"), ("/a/b", "/a/x/../b"), ("/a/b", "//a/b"), ("/b", "/../b")],
)
def test_two_spellings_of_one_file_clash(one: str, other: str) -> None:
    assert list(checks.clashes([(one, None), (other, None)]))


@pytest.mark.parametrize(
    ("one", "other"), [("/a/b", "/a/bc"), ("/a/b/c", "/a/b.d"), ("/a", "/b/a")]
)
def test_neighbours_do_not_clash(one: str, other: str) -> None:
    assert not list(checks.clashes([(one, None), (other, None)]))


def test_a_file_below_a_file_clashes_in_either_order() -> None:
    assert [clash.position for clash in checks.clashes([("/a", None), ("/a/b", None)])] == [1]
    assert [clash.position for clash in checks.clashes([("/a/b/c", None), ("/a", None)])] == [0]


def test_the_model_itself_refuses_clashes() -> None:
    same = {"destination": "/a", "template": "x"}
    with pytest.raises(ValidationError, match="same destination"):
        Settings.model_validate(
            {"auth": {"method": "aws_iam", "role": "r"}, "outputs": [same, same]}
        )


@pytest.mark.parametrize(
    ("given", "used"),
    [("app", "app"), ("svc-a.b", "svc-a.b"), (1000, 1000), ("1000", 1000), (0, 0), ("a$", "a$")],
)
def test_an_owner_is_a_name_or_a_number(given: object, used: object) -> None:
    assert output(user=given, group=given).user == used


@pytest.mark.parametrize(
    "owner", [True, -1, 2**32 - 1, "-1", "", "a b", "a:b", "1a", 1.5, [1], "99999999999", "ü"]
)
def test_what_can_own_no_file_is_refused(owner: object) -> None:
    with pytest.raises(ValidationError):
        output(user=owner)


@pytest.mark.parametrize("mode", ["0640", "640", "0600", "0777", "000"])
def test_a_mode_is_octal_digits(mode: str) -> None:
    assert output(mode=mode).mode == int(mode, 8)


@pytest.mark.parametrize("mode", [640, 0o640, "0o640", "888", "1777", "", "rw-r-----", None])
def test_a_mode_that_could_be_misread_is_refused(mode: object) -> None:
    with pytest.raises(ValidationError):
        output(mode=mode)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("2d", 172800), ("0", 0), (0, 0), ("1.5s", 1.5)],
)
def test_a_duration_is_held_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["90", 90, 1.5, "", "s", "-5s", "1 h", "1h 30m", True, None, "11y", "4000d", "9" * 400 + "s"],
)
def test_a_duration_without_a_unit_or_an_end_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1m30s", "500ms", "0s", "2d", "1.5s", "1h"])
def test_a_duration_is_written_the_way_it_is_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9090", "http://app/-/reload?now=1", "https://[::1]/x"]
)
def test_an_application_is_told_at_a_url(url: str) -> None:
    assert checks.plain_url(url) == url


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "http://u:p@app/", "http:///x", "file:///x"])
def test_what_is_no_url_or_carries_credentials_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"credentials|scheme"):
        checks.plain_url(url)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ü", "a\x7f"])
def test_a_server_id_cannot_smuggle_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        checks.header_value(value)


@pytest.mark.parametrize("value", ["a b", "a\r\nX-Evil: 1"])
def test_a_namespace_cannot_smuggle_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="needs the path of a namespace"):
        checks.namespace(value)
