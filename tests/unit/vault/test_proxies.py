"""Which requests go through a proxy: the rules of Vault's own tools, which are Go's."""

from __future__ import annotations

import pytest
from yarl import URL

from leasekeeper.errors import ConfigError
from leasekeeper.vault.proxies import proxy_for

PROXY = "http://proxy.internal:3128"


def proxied(url: str, no_proxy: str = "", **environ: str) -> str | None:
    variables = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": no_proxy, **environ}
    found = proxy_for(URL(url), variables)
    return None if found is None else str(found)


def test_without_variables_there_is_no_proxy() -> None:
    assert proxy_for(URL("https://vault.internal:8200"), {}) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        (PROXY, PROXY),
        ("proxy.internal:3128", PROXY),
        ("https://user:pass@proxy:1", "https://user:pass@proxy:1"),
        (" ", None),
    ],
)
def test_the_variable_of_the_scheme_decides(name: str, value: str, proxy: str | None) -> None:
    found = proxy_for(URL("https://vault.internal"), {name: value})

    assert (None if found is None else str(found).rstrip("/")) == proxy
    assert proxy_for(URL("http://vault.internal"), {name: value}) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:8200", "http://localhost", "http://[::1]:8200"])
def test_loopback_is_never_proxied(url: str) -> None:
    assert proxied(url) is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "https://vault.internal", True),
        ("vault.internal", "https://vault.internal", True),
        ("VAULT.Internal", "https://vault.internal", True),
        ("internal", "https://vault.internal", True),
        (".internal", "https://vault.internal", True),
        ("*.internal", "https://vault.internal", True),
        (".vault.internal", "https://vault.internal", False),
        ("*.vault.internal", "https://vault.internal", False),
        ("nternal", "https://vault.internal", False),
        ("other, vault.internal ,", "https://vault.internal", True),
        ("vault.internal:8200", "https://vault.internal:8200", True),
        ("vault.internal:8200", "https://vault.internal", False),
        ("vault.internal:443", "https://vault.internal", True),
        ("10.0.0.0/8", "https://10.1.2.3:8200", True),
        ("10.0.0.0/8", "https://11.1.2.3:8200", False),
        ("10.0.0.0/8", "https://vault.internal", False),
        ("10.1.2.3", "https://10.1.2.3:8200", True),
        ("10.1.2.3:8200", "https://10.1.2.3:8200", True),
        ("fd00::/8", "https://[fd00::1]:8200", True),
        ("fd00::1", "https://[fd00::1]:8200", True),
        ("[fd00::1]:8200", "https://[fd00::1]:8200", True),
        ("[fd00::1]:8201", "https://[fd00::1]:8200", False),
        ("10.0.0.0/99", "https://10.1.2.3", False),
        ("169.254.170.2,169.254.169.254", "https://10.1.2.3", False),
        ("", "https://vault.internal", False),
        (",,", "https://vault.internal", False),
    ],
)
def test_no_proxy_exempts_names_addresses_and_networks(
    no_proxy: str, url: str, direct: bool
) -> None:
    assert (proxied(url, no_proxy) is None) is direct


@pytest.mark.parametrize("value", ["socks5://canary:1", "http://", "http://[canary", "file:///x"])
def test_what_is_no_http_proxy_ends_the_start_without_showing_the_value(value: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY needs the address") as raised:
        proxy_for(URL("https://vault.internal"), {"HTTPS_PROXY": value})

    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({"VAULT_HTTP_PROXY": "own:1"}, "http://own:1"),
        ({"VAULT_HTTP_PROXY": "no:1", "VAULT_PROXY_ADDR": "own:1"}, "http://own:1"),
        ({"VAULT_PROXY_ADDR": "no:1", "BAO_PROXY_ADDR": "own:1"}, "http://own:1"),
    ],
)
@pytest.mark.parametrize("url", ["https://vault.internal", "http://127.0.0.1:8200"])
def test_vaults_own_variables_go_first_and_know_no_exceptions(
    environ: dict[str, str], proxy: str, url: str
) -> None:
    assert proxied(url, "*", **environ) == proxy
