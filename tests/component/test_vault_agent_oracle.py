"""The real agent reads the same text: what it takes, and what it makes of it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasekeeper.devstack.openbao import find_bao
from leasekeeper.settings.vault_agent.hcl import read_hcl
from leasekeeper.settings.vault_agent.tree import Block, Broken, Literal
from tests.unit.settings.vault_agent.agent_examples import EXAMPLES, Example

LOGIN = 'auto_auth { method "token_file" { config = { token_file_path = "/nowhere" } } }\n'
_CONTENTS = re.compile(r'TemplateConfig\{Backup.*? Contents:"((?:[^"\\]|\\.)*)", CreateDestDirs:')
_GO_ESCAPE = re.compile(rb"\\(?:x(..)|u(....)|U(........)|(.))")
_LETTERS = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


@dataclass(frozen=True)
class Agent:
    """The real agent; it ends after it has read its configuration."""

    directory: Path

    def read(self, text: str, name: str = "agent.hcl") -> tuple[bool, str]:
        """Return whether *text* was taken, and everything that the agent had to say."""
        path = self.directory / name
        path.write_bytes(text.encode())
        environ = {**os.environ, "BAO_TEST_VERIFY_ONLY_DUMP_CONFIG": "1", "TEST_AAD_ENV": "x"}
        ran = subprocess.run(
            [find_bao(), "agent", f"-config={path}", "-test-verify-only"],
            capture_output=True,
            check=False,
            env=environ,
            timeout=30,
        )
        return ran.returncode == 0, (ran.stdout + ran.stderr).decode()

    def contents(self, text: str) -> list[bytes] | None:
        """Return the contents of all templates in *text*, or None if it is not taken."""
        taken, said = self.read(text)
        return [_from_go(found) for found in _CONTENTS.findall(said)] if taken else None


def _from_go(quoted: str) -> bytes:
    """Return what Go's `%q` stands for."""

    def plain(match: re.Match[bytes]) -> bytes:
        byte, short, long, letter = match.groups()
        if byte:
            return bytes([int(byte, 16)])
        if short or long:
            return chr(int(short or long, 16)).encode()
        return _LETTERS.get(letter, letter)

    return _GO_ESCAPE.sub(plain, quoted.encode())


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return Agent(tmp_path_factory.mktemp("agent"))


def ours(text: str) -> list[bytes] | None:
    """Return the contents of all templates in *text* as we read them."""
    try:
        block = read_hcl(text)
    except Broken:
        return None
    found = []
    for item in block.items:
        if item.keys == ("template",):
            assert isinstance(item.node, Block)
            (contents,) = [one.node for one in item.node.items if one.keys == ("contents",)]
            assert isinstance(contents, Literal)
            assert isinstance(contents.value, str)
            found.append(contents.value.encode())
    return found


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_verdict_on_an_example_is_the_agents(agent: Agent, example: Example) -> None:
    taken, said = agent.read(example.text)

    assert taken == example.loads, said


blanks = st.sampled_from(["", "", " ", "  ", "\t", " \t", "    "])
insides = st.sampled_from(
    ["x", "", "EOF x", "{{ a }}", "${b", "EOFX", '"', "\\n", "# c", "é", "y "]
)
ends = st.sampled_from(["\n", "\n", "\r\n"])
signs = ["a", " ", "é", "😀", "\t", "\r", "\n", "'", "#", "//", "<<EOF", "{{ x }}", "%{", "$", "$$"]
braces = ["${", "}", "{", '${a "b" c}', "${x\n}"]
escapes = [r"\n", r"\t", r"\"", r"\\", r"\x41", r"\101", r"\u00e9", r"\U0001F600", r"\ud800"]
strange = [r"\q", r"\'", r"\xc3\xa9", r"\u12", r"\0"]
pieces = st.sampled_from([*signs, *braces, *escapes, *strange])


@st.composite
def heredocs(draw: st.DrawFn) -> str:
    end = draw(ends)
    lines = draw(st.lists(st.tuples(blanks, insides).map("".join), max_size=5))
    body = "".join(f"{line}{end}" for line in lines)
    return f"<<{draw(st.sampled_from(['', '-', '-']))}EOF{end}{body}{draw(blanks)}EOF{end}"


quoted = st.lists(pieces, max_size=6).map(lambda parts: f'"{"".join(parts)}"')


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(heredocs(), min_size=30, max_size=40))
def test_heredocs_are_the_agents_to_the_byte(agent: Agent, found: list[str]) -> None:
    # One that must be indented and is not would swallow the ones behind it.
    texts = [text for text in found if ours(f"a = {text}") is not None]
    text = LOGIN + "".join(
        f'template {{\ndestination = "/x"\ncontents = {one}}}\n' for one in texts
    )

    assert agent.contents(text) == ours(text)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(quoted)
def test_text_in_quotes_is_the_agents_to_the_byte(agent: Agent, found: str) -> None:
    text = f'{LOGIN}template {{\ndestination = "/x"\ncontents = {found}\n}}\n'

    assert agent.contents(text) == ours(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1 b = 2",
        "a { b = 1, c = 2 }",
        '"a" = [1, [2], {b = 3},]',
        "a = [,1,,]",
        "a b c {}",
        "a = 0x1F",
        "a = -1",
        "a = 1e3",
        "a-b.c = 1",
        "é中 = 1",
        "# x\n// y\n/* z **/ a = 1 # b",
        "a = 089",
        "a = 5m",
        "a = b",
        "a b = 1",
        "a = [1 2]",
        "a =\n1",
        "a\n{\n}",
        "{",
        "a = 'x'",
        "a = 1;",
        "a = <<EOF x\nEOF\n",
        "a = + 1",
        "a = {} }",
        "= 1",
    ],
)
def test_the_verdict_on_the_grammar_is_the_agents(agent: Agent, text: str) -> None:
    taken, said = agent.read(f"zz = 1\n{text}\n")
    reads = taken or "error validating configuration" in said

    try:
        read_hcl(f"zz = 1\n{text}\n")
    except Broken:
        assert not reads, said
    else:
        assert reads, said
