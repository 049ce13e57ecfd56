"""What an answer of Vault says about its own life."""

from __future__ import annotations

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.secrets.lifetime import Life, life_of, renew_after, rotate_after, same_value
from leasekeeper.secrets.mounts import api_path
from leasekeeper.secrets.request import Operation
from leasekeeper.secrets.snapshot import SecretKind
from leasekeeper.vault.client import Mount
from leasekeeper.vault.response import JsonNumber, VaultResponse

KV2 = Mount("secret/", "kv", 2)
KV1 = Mount("kv/", "kv", 1)
DEEP = Mount("team/a/kv/", "kv", 2)


def life(**response: object) -> Life:
    return life_of(VaultResponse(**response), Operation.READ, wall_s=1000.0)  # type: ignore[arg-type]


def test_a_lease_id_makes_a_lease() -> None:
    leased = life(lease_id="database/creds/x/1", lease_duration_s=60, renewable=True)

    assert leased == Life(kind=SecretKind.LEASED, duration_s=60, renewable=True)


def test_the_default_ttl_of_kv_v1_is_not_a_lease() -> None:
    assert life(lease_duration_s=2764800, data={"a": "b"}) == Life(kind=SecretKind.STATIC)


def test_a_static_role_lasts_until_its_next_rotation() -> None:
    data = {"last_vault_rotation": "2026-01-01T00:00:00Z", "ttl": JsonNumber("17")}

    assert life(data=data) == Life(kind=SecretKind.STATIC_ROLE, duration_s=17)


def test_a_certificate_lasts_until_its_expiration() -> None:
    data = {"certificate": "-----BEGIN", "expiration": JsonNumber("1600")}

    assert life(data=data) == Life(kind=SecretKind.CERTIFICATE, duration_s=600)


def test_a_secret_id_brings_its_ttl() -> None:
    data = {"secret_id": "x", "secret_id_ttl": JsonNumber("60")}

    assert life(data=data).duration_s == 60


def test_an_answer_with_nonsense_numbers_is_static() -> None:
    for nonsense in ("", "x", "1e999", "-5", None, [], {}):
        data = {"certificate": "x", "expiration": nonsense}
        assert life(data=data).kind is SecretKind.STATIC


def test_a_static_role_changes_with_its_rotation_and_not_with_its_ttl() -> None:
    def role(rotation: str, ttl: str) -> VaultResponse:
        return VaultResponse(data={"last_vault_rotation": rotation, "ttl": JsonNumber(ttl)})

    kind = SecretKind.STATIC_ROLE
    assert same_value(kind, role("a", "10"), role("a", "60"))
    assert not same_value(kind, role("a", "10"), role("b", "10"))


def test_two_leases_are_never_the_same_value() -> None:
    response = VaultResponse(lease_id="x", data={"a": "b"})

    assert not same_value(SecretKind.LEASED, response, response)


@given(remaining=st.floats(0.1, 1e7), overlap=st.floats(0, 1e6), seed=st.integers(0, 2**32))
def test_a_renewal_leaves_the_overlap_as_far_as_half_the_lease_allows(
    remaining: float, overlap: float, seed: int
) -> None:
    after = renew_after(remaining, overlap, Random(seed))

    assert 0 < after <= remaining * 2 / 3 + 1e-9
    assert remaining - after >= min(overlap, remaining / 2) - 1e-6


@given(duration=st.floats(0.1, 1e7), overlap=st.floats(0, 1e6), seed=st.integers(0, 2**32))
def test_a_rotation_happens_inside_the_life(duration: float, overlap: float, seed: int) -> None:
    for kind in (SecretKind.LEASED, SecretKind.CERTIFICATE):
        after = rotate_after(Life(kind=kind, duration_s=duration), overlap, Random(seed))

        assert 0 < after < duration
        assert math.isfinite(after)


def test_kv_v2_paths_get_their_api_segment() -> None:
    cases = {
        ("secret/app", Operation.READ): "secret/data/app",
        ("secret/app/db", Operation.READ): "secret/data/app/db",
        ("secret/data/app", Operation.READ): "secret/data/app",
        ("secret/data", Operation.READ): "secret/data",
        ("secret/metadata/app", Operation.READ): "secret/metadata/app",
        ("secret/data/data/app", Operation.READ): "secret/data/data/app",
        ("secret/database", Operation.READ): "secret/data/database",
        ("secret/app?version=3", Operation.READ): "secret/data/app?version=3",
        ("secret", Operation.READ): "secret/data",
        ("secret/app", Operation.WRITE): "secret/data/app",
        ("secret/app", Operation.LIST): "secret/metadata/app",
        ("secret", Operation.LIST): "secret/metadata",
        ("secret/metadata/app", Operation.LIST): "secret/metadata/app",
    }

    assert {key: api_path(KV2, key[1], key[0]) for key in cases} == cases


def test_a_mount_may_be_several_segments_deep() -> None:
    assert api_path(DEEP, Operation.READ, "team/a/kv/app") == "team/a/kv/data/app"


def test_everything_but_kv_v2_is_asked_as_written() -> None:
    for mount in (KV1, None, Mount("database/", "database", 1)):
        assert api_path(mount, Operation.READ, "kv/app") == "kv/app"
