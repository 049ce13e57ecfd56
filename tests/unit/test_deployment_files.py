"""What ecs/ and docs/ecs.md repeat of the code and of each other."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from leasekeeper.commands import policy
from leasekeeper.settings.loading import LoadedSettings, load_settings
from leasekeeper.settings.model import LifecycleSection
from leasekeeper.settings.state import StateSection

ROOT = Path(__file__).parents[2]
ECS = ROOT / "ecs"
MODULES = ECS / "terraform" / "modules"
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/ecs.md").read_text(encoding="utf-8")
NATIVE = "task-definition.json"
TUTORIAL = "task-definition.tutorial.json"


def definition(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ECS / name).read_text(encoding="utf-8"))
    return read


def sidecar(name: str) -> dict[str, Any]:
    """Return the container that runs Leasekeeper."""
    (found,) = [
        each for each in definition(name)["containerDefinitions"] if "leasekeeper:" in each["image"]
    ]
    return dict(found)


def loaded(name: str) -> LoadedSettings:
    environment = {each["name"]: each["value"] for each in sidecar(name)["environment"]}
    return load_settings(config_file=None, environ=environment, overrides={})


def in_module(name: str, pattern: str) -> str:
    """Return what *pattern* finds in the Terraform module called *name*."""
    text = "".join(path.read_text() for path in sorted((MODULES / name).glob("*.tf")))
    found = re.search(pattern, text)
    assert found, pattern
    return found[1]


@pytest.mark.parametrize("name", [NATIVE, TUTORIAL])
def test_the_configuration_of_the_task_definition_is_good(name: str) -> None:
    settings = loaded(name)

    assert settings.ignored == ()
    (output,) = settings.settings.outputs
    mounted = {each["containerPath"] for each in sidecar(name)["mountPoints"]}
    assert str(Path(output.destination).parent) in mounted
    assert settings.settings.lifecycle.exit_after_auth is False


@pytest.mark.parametrize("name", [NATIVE, TUTORIAL])
def test_the_application_reads_the_file_that_is_written(name: str) -> None:
    (application,) = [
        each for each in definition(name)["containerDefinitions"] if each["name"] == "product-api"
    ]
    (output,) = loaded(name).settings.outputs

    assert {"name": "CONFIG_FILE", "value": output.destination} in application["environment"]
    assert [each["readOnly"] for each in application["mountPoints"]] == [True]
    assert application["dependsOn"][0]["condition"] == "HEALTHY"


def test_the_tutorials_definition_is_the_tutorials_but_for_the_image() -> None:
    container = sidecar(TUTORIAL)

    assert container["name"] == "vault-agent"
    assert container["healthCheck"]["command"] == ["CMD-SHELL", "vault agent --help"]
    assert not [each for each in container["environment"] if "LEASEKEEPER" in each["name"]]
    template = next(e["value"] for e in container["environment"] if "TEMPLATE" in e["name"])
    assert "learn/database/creds/product" in base64.b64decode(template).decode()


def test_the_health_check_is_the_images() -> None:
    asked = re.search(r"HEALTHCHECK .* CMD (\[.*\])", DOCKERFILE)
    assert asked
    command = ["CMD", *json.loads(asked[1])]

    assert sidecar(NATIVE)["healthCheck"]["command"] == command
    assert json.loads(in_module("sidecar", r"command +=\s+(\[\"CMD\".*\])")) == command
    template = (ECS / "cloudformation/product-api.yaml").read_text()
    assert f"Command: [{', '.join(command)}]" in template


def test_everybody_means_the_images_user() -> None:
    user = re.search(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    assert user
    uid = user[1]

    assert re.search(rf"^ARG UID={uid}$", DOCKERFILE, re.MULTILINE)
    assert sidecar(NATIVE)["user"] == f"{uid}:{uid}"
    assert in_module("sidecar", r"user +=\s+\"(\d+):\d+\"") == uid
    assert in_module("efs", r"variable \"uid\" \{[^}]*default +=\s+(\d+)") == uid
    template = (ECS / "cloudformation/product-api.yaml").read_text()
    assert f'PosixUser: {{Uid: "{uid}", Gid: "{uid}"}}' in template
    assert f'User: "{uid}:{uid}"' in template


def test_the_paths_that_are_mounted_are_the_images_volumes() -> None:
    """A bind mount gets the image's owner only at the very path of a VOLUME."""
    declared = re.search(r"^VOLUME (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert declared
    volumes = set(json.loads(declared[1]))

    assert in_module("sidecar", r"state_path +=\s+\"(.*)\"") in volumes
    assert in_module("sidecar", r"variable \"directory\" \{[^}]*default +=\s+\"(.*)\"") in volumes


def test_the_times_fit_together() -> None:
    """ECS gives up after Leasekeeper has, and kills it after it has stopped."""
    container, lifecycle = sidecar(NATIVE), LifecycleSection()
    check = container["healthCheck"]

    given_up_after = check["startPeriod"] + check["interval"] * check["retries"]
    assert lifecycle.startup_deadline < given_up_after
    assert lifecycle.startup_deadline <= container["startTimeout"] <= 120
    assert lifecycle.shutdown_deadline < container["stopTimeout"] <= 120
    # A container that has waited out its start may be started again.
    assert container["restartPolicy"]["restartAttemptPeriod"] <= lifecycle.startup_deadline
    for name, key in (("startup_deadline", lifecycle.startup_deadline),):
        found = in_module("sidecar", rf"variable \"{name}\" \{{[^}}]*default +=\s+(\d+)")
        assert int(found) == key


def test_the_variables_of_the_state_exist() -> None:
    names = set(re.findall(r"LEASEKEEPER_STATE__(\w+)", (MODULES / "sidecar/main.tf").read_text()))

    assert names == {"PATH", "ENCRYPTION__KMS_KEY_ID"}
    assert {"path", "encryption"} <= set(StateSection.model_fields)


def test_the_policy_of_the_example_is_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config,) = [
        each["value"]
        for each in sidecar(NATIVE)["environment"]
        if each["name"] == "LEASEKEEPER_CONFIG"
    ]
    (tmp_path / "leasekeeper.yaml").write_text(config)

    assert policy.main(["--config", str(tmp_path / "leasekeeper.yaml")]) == 0
    example = ECS / "terraform/examples/product-api/policy.hcl"
    assert capsys.readouterr().out == example.read_text()


def test_the_labels_of_the_discovery_are_those_of_the_collector() -> None:
    labels = sidecar(NATIVE)["dockerLabels"]
    collector = yaml.safe_load((ROOT / "config/monitoring/adot-collector.yaml").read_text())
    (wanted,) = collector["extensions"]["ecs_observer"]["docker_labels"]

    assert labels == {wanted["job_name_label"]: "leasekeeper", wanted["port_label"]: "8210"}


def test_every_alert_has_an_entry_in_the_runbook() -> None:
    groups = yaml.safe_load((ROOT / "config/monitoring/prometheus-rules.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    runbook = PAGE.partition("\n## Runbook\n")[2].partition("\n## ")[0]

    assert set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE)) == alerts


def test_the_page_answers_twenty_questions() -> None:
    questions = PAGE.partition("\n## Questions\n")[2].partition("\n## ")[0]
    headings = re.findall(r"^### (\d+)\. .+\?", questions, re.MULTILINE)

    assert headings == [str(number) for number in range(1, 21)]


def test_every_checker_is_explained() -> None:
    program = (ROOT / ".ci/check_deploy.py").read_text()
    steps = set(re.findall(r'^        "([\w -]+)": \w+,$', program, re.MULTILINE)) | {"terraform"}
    rows = re.findall(
        r"^\| ([\w -]+) \|", (ECS / "README.md").read_text().partition("## What is checked")[2],
        re.MULTILINE,
    )  # fmt: skip

    assert steps == set(rows) - {"step"}


def anchors(page: Path) -> set[str]:
    """Return the names by which the headings of *page* are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", ["docs/ecs.md", "ecs/README.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target
