"""Whatever a server sends becomes a record or nothing, and never a bug."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.vault.decoding import DEEPEST, TooDeep, decode, response_of, whole
from leasekeeper.vault.response import JsonNumber

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
FIELDS = ["request_id", "lease_id", "lease_duration", "renewable", "data", "warnings"]
AUTH = ["client_token", "accessor", "policies", "token_policies", "metadata", "lease_duration"]
WRAP = ["token", "accessor", "ttl", "creation_time", "creation_path", "wrapped_accessor"]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    body = decode(raw)

    assert body is None or isinstance(body, dict)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_types_break_the_record(body: dict[str, Any]) -> None:
    response = response_of({**body, "auth": body, "wrap_info": body})

    assert isinstance(response.request_id, str)
    assert isinstance(response.lease_duration_s, int)
    assert response.data is None or isinstance(response.data, dict)


@given(st.dictionaries(st.sampled_from(AUTH + WRAP), JSON))
def test_no_types_break_a_token(part: dict[str, Any]) -> None:
    response = response_of({"auth": part, "wrap_info": part})

    assert response.auth is not None
    assert isinstance(response.auth.client_token, str)
    assert isinstance(response.auth.metadata, dict)
    assert response.wrap_info is not None
    assert isinstance(response.wrap_info.ttl_s, int)


@given(st.integers() | st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_numbers_keep_their_digits(number: object) -> None:
    raw = f'{{"data": {{"n": {number}}}}}'.lower()
    body = decode(raw.encode())

    if body is not None:  # not every decimal is written as JSON wants it
        assert isinstance(body["data"]["n"], JsonNumber)
        assert body["data"]["n"] == str(number).lower()


@pytest.mark.parametrize("text", ["1.10", "12345678901234567890123", "1e400", "-0", "1E+2"])
def test_numbers_that_a_float_would_spoil_are_kept(text: str) -> None:
    body = decode(f'{{"data": {{"n": {text}}}}}'.encode())

    assert body == {"data": {"n": text}}


def test_the_limit_of_nesting_is_what_it_says() -> None:
    def nested(depth: int) -> bytes:
        inner: object = 1
        for level in range(depth - 1):
            inner = [inner] if level % 2 else {"a": inner}
        return json.dumps({"data": inner, "more": ["{", {}] * 200}).encode()

    assert decode(nested(DEEPEST)) is not None
    with pytest.raises(TooDeep):
        decode(nested(DEEPEST + 1))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("30", 30),
        ("29.9", 29),
        (JsonNumber("1e3"), 1000),
        (None, 0),
        ("", 0),
        (True, 0),
        ([], 0),
        ("inf", 0),
        ("nan", 0),
        ("-5", -5),
    ],
)
def test_whole_numbers_are_read_off_anything(value: object, number: int) -> None:
    assert whole(value) == number
