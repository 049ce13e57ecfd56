"""Every cause of an error has a code of its own, and docs/errors.md explains all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import leasekeeper.templates.golang.cursor
import leasekeeper.tokens.known_refusals as refusals
from leasekeeper import codes, errors
from leasekeeper.errors import AgentError, ConfigError, Problem
from leasekeeper.settings.loading import load_settings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "app" / "leasekeeper"
CODE = re.compile(r"LK-[A-Z]+-\d{3}")


def classes(base: type[AgentError] = AgentError) -> Iterator[type[AgentError]]:
    """Yield the classes of errors that a run can meet."""
    yield base
    for below in base.__subclasses__():
        if ".devstack." not in below.__module__:
            yield from classes(below)


def test_the_page_is_what_the_table_says() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

    assert codes.renewed(page) == page, "run `make docs`"


def test_every_code_in_the_source_is_explained_and_every_explained_code_is_used() -> None:
    texts = [
        path.read_text(encoding="utf-8")
        for path in SOURCE.rglob("*.py")
        if path.name != "codes.py" and "devstack" not in path.parts
    ]

    assert {code for text in texts for code in CODE.findall(text)} == set(codes.CODES)


def test_every_error_class_has_a_code_that_is_explained() -> None:
    assert leasekeeper.templates.golang.cursor  # its classes count, too
    assert {cls.code for cls in classes()} <= set(codes.CODES)
    unspecific = [cls for cls in classes() if cls.code == errors.AgentError.code]
    assert unspecific == [AgentError]


def test_every_known_refusal_has_a_code_of_logging_in() -> None:
    known = [*refusals.ANY, *(one for each in refusals.METHODS.values() for one in each)]

    assert all(one.code in codes.CODES and one.code.startswith("LK-AUTH-") for one in known)


def test_codes_are_listed_once_in_order_and_say_how_to_mend_it() -> None:
    found = [code.code for code in codes._TABLE]

    assert len(found) == len(set(found))
    by_area = {area: [c for c in found if c.split("-")[1] == area] for area in codes.AREAS}
    assert sum(map(len, by_area.values())) == len(found)
    for area, each in by_area.items():
        assert each == [f"LK-{area}-{number:03}" for number in range(1, len(each) + 1)]
    assert all(
        c.title and c.cause.endswith(".") and c.fix.endswith((".", ")")) for c in codes._TABLE
    )


def test_an_error_without_a_closer_code_has_its_class_s() -> None:
    assert ConfigError("a", "b").code == "LK-CONF-001"
    assert ConfigError(Problem("a", "LK-CONF-004")).code == "LK-CONF-004"
    assert ConfigError(Problem("a", "LK-CONF-004"), "b").code == "LK-CONF-001"
    assert AgentError("it broke", hint="mend it").coded == "it broke (mend it) [LK-BUG-001]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auth: {method: approle, rol_id: x}\noutputs: []", "LK-CONF-002"),
        ("probe: {interval: 30}\nauth: {method: approle, role_id: x}", "LK-CONF-003"),
        ("auth: {method: aws_iam}\noutputs: [{destination: /x, template: y}]", "LK-CONF-004"),
        ("auth: [", "LK-CONF-005"),
    ],
)
def test_what_is_wrong_with_a_configuration_has_a_code(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=None, environ={"LEASEKEEPER_CONFIG": text}, overrides={})

    assert expected in {problem.code for problem in caught.value.problems}


def test_no_configuration_at_all_has_a_code() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=None, environ={}, overrides={})

    assert caught.value.code == "LK-CONF-006"
