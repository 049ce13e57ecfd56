"""Functions are found by name, imported late, denied by pattern, and confined to a sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import leasekeeper
from leasekeeper.errors import TemplateRenderError, TemplateSyntaxError
from leasekeeper.templates.functions.library import MODULES, library
from leasekeeper.templates.source import FileRequest, RenderContext, Rendered
from leasekeeper.templates.template import Template

CONSUL_TEMPLATE = """
    add base64Decode base64Encode base64URLDecode base64URLEncode contains containsAll containsAny
    containsNone containsNotAll divide env envOrDefault executeTemplate explodeMap file
    hmacSHA256Hex in indent join loop maximum md5sum mergeMap mergeMapWithOverride minimum modulo
    multiply mustEnv parseBool parseFloat parseInt parseJSON parseUint parseYAML pkiCert plugin
    regexMatch regexReplaceAll replaceAll scratch secret secrets sha256Hex sockaddr spew_dump
    spew_printf spew_sdump spew_sprintf split splitToMap subtract timestamp toJSON toJSONPretty
    toLower toTOML toTitle toUnescapedJSON toUnescapedJSONPretty toUpper toYAML trim trimPrefix
    trimSpace trimSuffix writeToFile
"""
NOT_HERMETIC = """
    date date_in_zone date_modify now htmlDate htmlDateInZone dateInZone dateModify randAlphaNum
    randAlpha randAscii randNumeric randBytes uuidv4 env expandenv getHostByName
"""


def _render(
    text: str, *, denylist: tuple[str, ...] = (), sandbox: str = "", **files: str
) -> Rendered:
    template = Template.compile(
        text, name="t", functions=library(denylist=denylist, sandbox_path=sandbox)
    )
    contents = {FileRequest(path): content for path, content in files.items()}
    return template.render(RenderContext(secret=lambda _request: None, file=contents.get))


# --- names ------------------------------------------------------------------------------------


def test_every_function_of_vault_agent_is_there() -> None:
    names = set(library())

    not_hermetic = {f"sprig_{name}" for name in NOT_HERMETIC.split()}
    assert names.issuperset(CONSUL_TEMPLATE.split())
    assert names.issuperset(not_hermetic)
    assert len([name for name in names - not_hermetic if name.startswith("sprig_")]) == 194


@pytest.mark.parametrize("module", MODULES)
def test_every_module_defines_the_functions_that_the_library_expects_of_it(module: str) -> None:
    defined = import_module(f"leasekeeper.templates.functions.{module}").functions

    assert set(defined) == set(MODULES[module].split())


def test_rare_libraries_are_not_loaded_for_an_everyday_template() -> None:
    """A sidecar is paid for by its memory."""
    script = """
import sys
from leasekeeper.templates.functions import functions
from leasekeeper.templates.template import Template

text = '{{ with secret "a" }}{{ .Data.x | toUpper | toJSON }}{{ env "A" | split "," }}{{ end }}'
Template.compile(text, name="t", functions=functions())
rare = {"re2", "yaml", "cryptography", "decimal", "zoneinfo", "ctypes", "subprocess", "hashlib"}
assert not rare & set(sys.modules), rare & set(sys.modules)
Template.compile('{{ regexMatch "a" "b" }}', name="t", functions=functions())
assert "re2" in sys.modules
"""
    source_root = Path(leasekeeper.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env={**os.environ, "PYTHONPATH": str(source_root)},
    )


@pytest.mark.parametrize("name", ["key", "service", "nomadVar", "tree", "byTag"])
def test_consul_and_nomad_functions_are_refused_when_the_template_is_compiled(name: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        _render(f'{{{{ {name} "x" }}}}')

    assert f'function "{name}" not defined' in caught.value.message
    assert "Leasekeeper has no Consul or Nomad functions" in str(caught.value.hint)


def test_a_misspelt_function_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        _render('{{ toUper "x" }}')

    assert caught.value.hint == 'did you mean "toUpper"?'


# --- the denylist -----------------------------------------------------------------------------


@pytest.mark.parametrize("denied", ["env", "e*", "sprig_*", "[a-f]nv"])
def test_a_denied_function_fails_when_it_is_called(denied: str) -> None:
    call = "sprig_upper" if denied == "sprig_*" else "env"

    with pytest.raises(TemplateRenderError, match=f"error calling {call}: function is disabled"):
        _render(f'{{{{ {call} "A" }}}}', denylist=(denied,))


def test_a_denied_function_costs_the_others_nothing() -> None:
    assert _render('{{ toUpper "a" }}', denylist=("env", "plugin", "unknown")).text == "A"


def test_a_denied_function_still_checks_its_arguments() -> None:
    with pytest.raises(TemplateRenderError, match="expected string; found 5"):
        _render("{{ env 5 }}", denylist=("env",))


# --- the sandbox ------------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path: Path) -> Path:
    box = tmp_path / "box"
    (box / "sub").mkdir(parents=True)
    (box / "in.txt").write_text("in")
    (tmp_path / "box-beside").write_text("beside")
    (tmp_path / "out.txt").write_text("out")
    (box / "link.txt").symlink_to("../out.txt")
    return box


def test_files_inside_the_sandbox_are_asked_for_by_their_real_path(box: Path) -> None:
    rendered = _render(f'{{{{ file "{box}/sub/../in.txt" }}}}', sandbox=str(box))

    assert rendered.used == {FileRequest(str(box / "in.txt"))}


@pytest.mark.parametrize("path", ["../out.txt", "link.txt", "../box-beside", "/etc/passwd"])
def test_files_outside_the_sandbox_are_refused_whatever_leads_to_them(box: Path, path: str) -> None:
    with pytest.raises(TemplateRenderError, match="is outside of sandbox"):
        _render(f'{{{{ file "{os.path.join(box, path)}" }}}}', sandbox=str(box))


def test_a_file_that_is_not_in_the_sandbox_yet_is_an_error(box: Path) -> None:
    with pytest.raises(TemplateRenderError, match=r"lstat .*: no such file or directory"):
        _render(f'{{{{ file "{box}/none.txt" }}}}', sandbox=str(box))


def test_without_a_sandbox_a_file_is_asked_for_as_it_is_written() -> None:
    assert _render('[{{ file "" }}]{{ file "a.txt" }}', **{"a.txt": "content"}).text == "[]content"
