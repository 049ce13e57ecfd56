"""What the image is, and what it is not."""

from __future__ import annotations

import os
from typing import Any

from conftest import IMAGE, docker, inspect, sh


def inside(*command: str) -> str:
    """Run *command* as a task definition should: read-only, without capabilities."""
    return docker(
        "run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none",
        "--entrypoint", command[0], IMAGE, *command[1:],
    )  # fmt: skip


def test_it_runs_without_root_and_without_a_writable_root_file_system() -> None:
    assert inside("leasekeeper", "--version").startswith("leasekeeper ")
    assert "uid=10001" in inside("id")


def test_it_says_what_it_is(image: dict[str, Any]) -> None:
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] in inside("leasekeeper", "--version")
    assert labels["org.opencontainers.image.revision"] not in ("", "unknown")


def test_it_stops_by_sigterm_and_has_a_health_check(image: dict[str, Any]) -> None:
    assert image["Config"]["StopSignal"] == "SIGTERM"
    assert image["Config"]["Healthcheck"]["Test"] == ["CMD", "leasekeeper", "health"]
    assert image["Config"]["User"] == "10001:10001"


def test_nothing_in_it_installs_or_compiles() -> None:
    listed = inside("ls", "/usr/bin", "/usr/local/bin", "/opt/leasekeeper/bin").split()
    assert not {"pip", "pip3", "apt", "apt-get", "dpkg", "gcc", "cc", "curl", "perl"} & set(listed)
    told = docker(
        "run", "--rm", "--entrypoint", "python3", IMAGE, "-m", "pip", "--version", check=False
    )
    assert "No module named pip" in told


def test_everything_that_a_run_may_import_is_there() -> None:
    modules = (
        "aiobotocore.session, aiofiles, aiohttp, cryptography.hazmat.primitives.ciphers.aead, "
        "hvac, prometheus_client, pydantic, re2, uvloop, yaml, zoneinfo, ssl, ctypes"
    )
    code = f"import {modules}\nprint(len(ssl.create_default_context().get_ca_certs()) > 50)"
    assert inside("python3", "-c", code).strip() == "True"
    services = (
        "import botocore.session as s; x = s.Session()\n"
        "print([x.get_service_model(n).service_name for n in ('sts', 'kms', 'ssm')])"
    )
    assert inside("python3", "-c", services).strip() == "['sts', 'kms', 'ssm']"


def test_the_health_check_made_for_vault_agent_tells_the_truth() -> None:
    told = docker(
        "run", "--rm", "--network=none", "--entrypoint", "vault", IMAGE, "agent", "--help",
        check=False,
    )  # fmt: skip
    assert "no answer" in told


def test_it_is_small(image: dict[str, Any]) -> None:
    # 100 MB when this was written; what makes it grow by a quarter should be known.
    assert image["Size"] < 125_000_000
    assert len(image["RootFS"]["Layers"]) <= 2


def test_the_same_sources_give_the_same_layers(image: dict[str, Any]) -> None:
    again = f"{IMAGE.partition(':')[0]}:again"
    sh("make", "image", f"IMAGE={again}", f"BUILD={os.environ.get('BUILD', '')} --no-cache")
    try:
        assert inspect(again)["RootFS"]["Layers"] == image["RootFS"]["Layers"]
    finally:
        docker("rmi", again)
