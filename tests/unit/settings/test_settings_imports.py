"""A sidecar starts fast: what loading does not need, it does not import."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from leasekeeper.settings.loading import load_settings
before = set(sys.modules)
environ = {environ!r}
load_settings(config_file=None, environ=environ, overrides={{}})
new = set(sys.modules) - before
print(*sorted(new & {{"yaml", "difflib", "zlib", "json", "aiohttp", "ast"}}))
"""
ROLE_AND_FILE = {
    "LEASEKEEPER_AUTH__METHOD": "aws_iam",
    "LEASEKEEPER_AUTH__ROLE": "web",
    "LEASEKEEPER_OUTPUTS__0__DESTINATION": "/a",
    "LEASEKEEPER_OUTPUTS__0__TEMPLATE": "x",
}


def imported(environ: dict[str, str]) -> list[str]:
    """Return which of the modules worth watching are imported by loading from *environ*."""
    program = PROGRAM.format(environ=environ)
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return ran.stdout.split()


def test_the_environment_alone_needs_no_yaml() -> None:
    assert imported(ROLE_AND_FILE) == []


def test_yaml_is_imported_for_yaml_and_nothing_else_is() -> None:
    text = "auth: {method: aws_iam, role: web}\noutputs: [{destination: /a, template: x}]\n"

    assert imported({"LEASEKEEPER_CONFIG": text}) == ["yaml"]
