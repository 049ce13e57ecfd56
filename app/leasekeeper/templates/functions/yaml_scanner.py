"""Where yaml.v2 cuts YAML into tokens otherwise than libyaml, which is rare, PyYAML's own scanner
does it, with Go's rules.

Inside of brackets a colon without a blank behind it belongs to the word before it, and a question
mark ends one. Commas and brackets are letters of a tag. ``\\'`` is an escape, and ``\\/`` is none.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

# So many characters take half a second, several times as long as with libyaml.
_LONGEST = 100_000
_WORDS = re.compile(
    r"""[^\s"',\[\]{}]:[,\[\]{}] | (?:(?<=[\s,\[{])|^)![^\s,\[\]]*[,\[\]] | \\['/]""", re.VERBOSE
)
_QUESTION = re.compile(r"[^\s,\[\]{}]\?")
_BLANK = "\0 \t\r\n\x85\u2028\u2029"
_EXPECTED = re.compile(r"expected (.*), but (?:got|found) .*")


def may_differ(text: str) -> bool:
    """Whether *text* has something in it that the two may read differently; few texts have."""
    if len(text) > _LONGEST:
        return False
    brackets = "[" in text or "{" in text
    return bool(_WORDS.search(text) or (brackets and _QUESTION.search(text)))


class GoLoader(yaml.BaseLoader):
    """Scans as yaml.v2 does."""

    ESCAPE_REPLACEMENTS = {  # type: ignore[misc] # noqa: RUF012 - PyYAML's
        char: meant
        for char, meant in (yaml.BaseLoader.ESCAPE_REPLACEMENTS | {"'": "'"}).items()
        if char != "/"
    }

    def scan_to_next_token(self) -> None:
        """Skip blanks, which tabs are where no key may begin."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_plain(self) -> Any:
        """Scan a plain scalar, over line breaks where indentation allows it."""
        chunks: list[str] = []
        start = end = self.get_mark()
        indent = self.indent + 1
        blanks: list[str] = []
        while self.peek() != "#" and (length := self._word()):
            self.allow_simple_key = False
            chunks += [*blanks, self.prefix(length)]
            self.forward(length)
            end = self.get_mark()
            blanks = self.scan_plain_spaces(indent, start) or []
            if not blanks or (not self.flow_level and self.column < indent):
                break
        return yaml.ScalarToken("".join(chunks), True, start, end)

    def _word(self) -> int:
        """Return how many characters from here on are one word."""
        length = 0
        while (char := self.peek(length)) not in _BLANK:
            if char == ":" and self.peek(length + 1) in _BLANK:
                break
            if self.flow_level and char in ",?[]{}":
                break
            length += 1
        return length


def in_words_of_go(problem: str) -> str:
    """Return PyYAML's word for a *problem* as yaml.v2 says it."""
    problem = _EXPECTED.sub(r"did not find expected \1", problem)
    return re.sub("(found unknown escape character) .*", r"\1", problem)
