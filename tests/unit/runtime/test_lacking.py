"""Hiding modules from imports, for a while."""

from __future__ import annotations

import importlib
import sys

import pytest

from leasekeeper.runtime.imports import import_no_plugins, lacking


def test_a_hidden_module_is_found_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this_is_not_there", raising=False)
    with lacking("colorsys", "this_is_not_there"), pytest.raises(ImportError):
        importlib.import_module("this_is_not_there")

    assert "this_is_not_there" not in sys.modules
    assert importlib.import_module("colorsys")


def test_what_is_there_already_stays() -> None:
    with lacking("sys"):
        assert importlib.import_module("sys") is sys


def test_pydantic_finds_no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydantic.plugin._loader", raising=False)
    import_no_plugins()

    assert importlib.import_module("pydantic.plugin._loader").get_plugins() == ()


def test_a_loader_of_plugins_that_is_there_stays() -> None:
    before = importlib.import_module("pydantic.plugin._loader")
    import_no_plugins()

    assert sys.modules["pydantic.plugin._loader"] is before
