"""The page and the schema say what the model says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leasekeeper.settings import documentation, keys
from leasekeeper.settings.documentation import json_schema, main, tables
from leasekeeper.settings.environment import VAULT_VARIABLES, variable_for

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert main(["--check", str(PAGE)]) == 0, (
        "run: python -m leasekeeper.settings.documentation docs/configuration.md"
    )


def test_every_key_is_in_the_tables_with_its_variable() -> None:
    text = tables()
    values = [path for path, key in keys.walk(keys.root()) if key.is_value]

    assert len(values) > 50
    assert [path for path in values if f"`{variable_for(path)}`" not in text] == []
    assert [last for last in VAULT_VARIABLES if f"`VAULT_{last}` `BAO_{last}`" not in text] == []


def test_every_key_has_a_description() -> None:
    schema = json_schema()

    for section in (schema, *schema["$defs"].values()):
        assert all(value["description"] for value in section["properties"].values())


def test_the_schema_shows_values_as_they_are_written() -> None:
    definitions = json_schema()["$defs"]

    assert definitions["VaultSection"]["properties"]["timeout"]["default"] == "30s"
    assert definitions["OutputSection"]["properties"]["mode"]["default"] == "0640"
    assert "validate" in definitions["OutputSection"]["properties"]
    assert definitions["AwsIamAuth"]["required"] == ["role", "method"]
    json.dumps(json_schema())


def test_an_outdated_page_is_noticed_and_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{documentation.BEGIN}old\n{documentation.END}after\n")

    assert main(["--check", str(page)]) == 1
    assert "not up to date" in capsys.readouterr().err
    assert main([str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "old" not in page.read_text().splitlines()
