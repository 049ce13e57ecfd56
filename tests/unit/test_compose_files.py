"""What docker/ repeats of the code: the same tables, the same names."""

from __future__ import annotations

from pathlib import Path

import yaml

from leasekeeper.devstack.ecs import LINK_LOCAL
from leasekeeper.devstack.product_setup import COFFEES, SCHEMA
from leasekeeper.devstack.world import WorldSettings

DOCKER = Path(__file__).parents[2] / "docker"


def test_the_stack_has_the_tables_of_the_local_world() -> None:
    text = " ".join((DOCKER / "products.sql").read_text(encoding="utf-8").split())
    for statement in SCHEMA.split(";"):
        assert " ".join(statement.split()) in text
    for number, name, teaser, price, image, ingredients in COFFEES:
        assert f"({number}, '{name}', '{teaser}', '', {price}, '{image}')" in text
        for ingredient in ingredients:
            assert f"({number}, {ingredient})" in text


def test_both_stacks_run_the_same_task_at_the_addresses_of_ecs() -> None:
    task = yaml.safe_load((DOCKER / "task.yaml").read_text())["services"]
    environment = task["leasekeeper"]["environment"]
    assert environment["VAULT_ROLE"] == WorldSettings().role
    assert environment["ECS_CONTAINER_METADATA_URI_V4"].startswith(f"http://{LINK_LOCAL}/v4/")
    for name in ("compose.yaml", "compose.test.yaml"):
        services = yaml.safe_load((DOCKER / name).read_text())["services"]
        for service in ("leasekeeper", "product-api"):
            assert services[service]["extends"] == {"file": "task.yaml", "service": service}
