"""The arithmetic of a token's life."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.tokens.lease import TokenLease
from leasekeeper.vault.response import AuthData


def lease(ttl_s: int = 90, *, renewable: bool = True, kind: str = "service") -> TokenLease:
    auth = AuthData(client_token="t", lease_duration_s=ttl_s, renewable=renewable, token_type=kind)
    return TokenLease.of_login(auth, serial=1, granted_at=100.0)


def test_a_renewable_token_is_renewed_at_two_thirds_of_its_life() -> None:
    assert lease().renew_at(jitter=0) == pytest.approx(160)
    assert lease().replace_at(30, jitter=0) == math.inf


def test_a_token_without_an_end_is_never_touched() -> None:
    root = lease(0, renewable=False)

    assert root.expires_at == math.inf
    assert root.renew_at(0) == math.inf
    assert root.replace_at(30, 0) == math.inf


def test_a_batch_token_is_replaced_and_never_renewed() -> None:
    batch = lease(90, kind="batch")

    assert batch.renew_at(0) == math.inf
    assert batch.replace_at(30, jitter=0) == pytest.approx(160)


def test_a_short_renewal_means_that_max_ttl_is_near() -> None:
    short = lease().renewed(60, at=160)

    assert short.final
    assert short.renew_at(0) == math.inf
    assert short.replace_at(30, 0) == pytest.approx(190)


def test_a_renewal_that_lacks_one_second_is_only_rounded() -> None:
    assert not lease().renewed(89, at=160).final


@pytest.mark.parametrize("ttl_s", [1, 2, 90])
def test_a_renewal_that_grants_nothing_is_the_end_and_not_endless(ttl_s: int) -> None:
    """Less than a second is left at max TTL, and Vault rounds it down to zero."""
    ended = lease(ttl_s).renewed(0, at=160)

    assert ended.expires_at == 160
    assert ended.final


def test_repr_does_not_show_the_token() -> None:
    auth = AuthData(client_token="hvs.canary", lease_duration_s=1)

    assert "canary" not in repr(auth)
    assert "canary" not in repr(TokenLease.of_login(auth, serial=1, granted_at=0))


@given(
    ttl=st.integers(1, 10**6),
    granted=st.integers(1, 10**6),
    overlap=st.floats(0, 10**4),
    jitter=st.floats(0, 0.999),
)
def test_a_final_token_is_always_replaced_inside_its_life(
    ttl: int, granted: int, overlap: float, jitter: float
) -> None:
    final = lease(ttl).renewed(min(granted, ttl), at=500)
    if not final.final:
        assert final.renew_at(jitter) < final.expires_at
        return
    at = final.replace_at(overlap, jitter)

    assert final.granted_at <= at < final.expires_at
    remaining = final.expires_at - final.granted_at
    assert final.expires_at - at >= min(overlap, remaining / 2) - 1e-6
