"""HCL 1 is read as Vault Agent reads it: what is expected is what the real one made of it."""

from __future__ import annotations

import pytest

from leasekeeper.settings.vault_agent.hcl import read_hcl
from leasekeeper.settings.vault_agent.tree import Block, Broken, Literal, Node, Sequence


def plain(node: Node) -> object:
    """Return the tree as pairs, lists and values."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Sequence):
        return [plain(inner) for inner in node.nodes]
    return [(*item.keys, plain(item.node)) for item in node.items]


def value(text: str) -> object:
    """Return the value that *text* is."""
    block = read_hcl(f"key = {text}\nother = 1\n")
    assert [item.keys for item in block.items] == [("key",), ("other",)]
    return plain(block.items[0].node)


def reason(text: str) -> tuple[int, str]:
    with pytest.raises(Broken) as caught:
        read_hcl(text)
    return caught.value.line, caught.value.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0640", 0o640),
        ("416", 416),
        ("-1", -1),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("2e3", 2000.0),
        ("00", 0),
        ("true", True),
        ("false", False),
        ('"true"', "true"),
        ("[]", []),
        ('["a", 1, [true], {b = 2},]', ["a", 1, [True], [("b", 2)]]),
        ("[,1,,2]", [1, 2]),
        ("{ a = 1 b = 2 }", [("a", 1), ("b", 2)]),
        ("{ a = 1, b = 2, }", [("a", 1), ("b", 2)]),
    ],
)
def test_values_are_read(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"a\nb\t\\\"c"', 'a\nb\t\\"c'),
        (r'"\x41\101\u00e9\U0001F600"', "AAé😀"),
        (r'"\xc3\xa9"', "é"),
        (r'"\ud800"', "\ufffd"),
        ('"# no comment // either"', "# no comment // either"),
        ('"%{ if } $ $$ {{ x }}"', "%{ if } $ $$ {{ x }}"),
        ('"${foo} ${a "quoted" {b} }"', '${foo} ${a "quoted" {b} }'),
        (r'"${kept \n as it is}"', r"${kept \n as it is}"),
        ('"${over\nlines}"', "${over\nlines}"),
        (r'"{{ with secret \"a/b\" }}{{ end }}"', '{{ with secret "a/b" }}{{ end }}'),
    ],
)
def test_text_in_quotes_is_unescaped_and_never_interpolated(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<<EOF\na\n  b ${x} "c" \\n\nEOF', 'a\n  b ${x} "c" \\n\n'),
        ("<<EOF\nEOF", ""),
        ("<<EOF\nEOF }\nEOF", "EOF }\n"),
        # The blanks before the word belong to the text.
        ("<<EOF\na\n  EOF", "a\n  "),
        ("<<-EOF\n  a\n    b\n  EOF", "a\n  b\n"),
        ("<<-EOF\n\tx\n\t\ty\n\tEOF", "x\n\ty\n"),
        # One line with less indentation, and nothing is taken away; an empty line has none.
        ("<<-EOF\n a\n  b\n  EOF", " a\n  b\n"),
        ("<<-EOF\n  a\n\n  b\n  EOF", "  a\n\n  b\n"),
        # Without indentation it is no end of <<-.
        ("<<-EOF\n  a\nEOF\n  EOF", "  a\nEOF\n"),
        ("<<E1\r\na\r\nE1\r", "a\n"),
    ],
)
def test_heredocs_lose_their_indentation_only_if_every_line_has_it(
    text: str, expected: str
) -> None:
    assert value(text) == expected


def test_blocks_have_labels_and_keys_may_be_quoted() -> None:
    text = """
        method "aws" { config = { "role" = "web" } }
        method x y { }
        a-b.c = 1 d = 2
    """

    assert plain(read_hcl(text)) == [
        ("method", "aws", [("config", [("role", "web")])]),
        ("method", "x", "y", []),
        ("a-b.c", 1),
        ("d", 2),
    ]


def test_comments_of_all_three_kinds_are_skipped() -> None:
    text = "# a\n// b = 1\n/* c = 1 **/ d = 1 /* e */ f = [1, # g\n2] // h"

    assert plain(read_hcl(text)) == [("d", 1), ("f", [1, 2])]


def test_a_file_may_be_empty() -> None:
    assert plain(read_hcl("")) == []
    assert plain(read_hcl("\n# nothing")) == []


def test_every_value_knows_its_line() -> None:
    text = 'a = 1\nb {\n  c = "${\n}"\n  d = <<E\n1\n2\nE\n  e = [\n    3]\n}\n'

    block = read_hcl(text)
    inner = block.items[1].node

    assert isinstance(inner, Block)
    assert [item.line for item in block.items] == [1, 2]
    assert [item.line for item in inner.items] == [3, 5, 9]


def test_windows_line_ends_are_line_ends() -> None:
    assert plain(read_hcl('a = 1\r\nb = "x"\r\n')) == [("a", 1), ("b", "x")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a {\n\nb = 1\n", 1, "}"),
        ("a = [\n1", 1, "]"),
        ("a = 1\n}", 2, "closes nothing"),
        ("a = \n'x'", 2, "double quotes"),
        ('a = "x\ny"', 1, "is a quote missing?"),
        ('a = "${x', 1, "}"),
        ("a = ${x}", 1, "quotes"),
        ("a = x", 1, "quotes"),
        ("a = 5m", 1, '"5m"'),
        ("a = 089", 1, "octal"),
        ("a = 99999999999999999999", 1, "too large"),
        ("a = 1e999", 1, "too large"),
        (r'a = "\q"', 1, "backslash"),
        (r'a = "\xff"', 1, "UTF-8"),
        ("a\nb = 1", 1, "one key"),
        ("a", 1, "`=`"),
        ("= 1", 1, "name of a key"),
        ("{ }", 1, "name of a block"),
        ("[1]", 1, "key"),
        ("a = [1 2]", 1, "commas"),
        ("/* x", 1, "*/"),
        ("a = <<EOF x\nEOF\n", 1, "<<"),
        ("a = 1\nb = <<EOF\nx\n", 2, "its word"),
        ("b = <<-EOF\nx\nEOF\n", 1, "blanks"),
        ("a = 1;", 1, "does not belong"),
        ("a = " + "[" * 50, 1, "too deeply"),
        ("a" + "{a" * 50, 1, "too deeply"),
        ("a = 1\n" * 200_001, 200_001, "too many"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, words: str) -> None:
    where, why = reason(text)

    assert where == line
    assert words in why


def test_no_message_repeats_the_text() -> None:
    for text in ("s3cr3t", "a = s3cr3t", 'a = "s3cr3t', "a = 's3cr3t'", "a = <<EOF\ns3cr3t"):
        assert "s3cr3t" not in reason(text)[1]


def test_no_value_is_in_the_repr() -> None:
    assert "s3cr3t" not in repr(read_hcl('a "b" { password = "s3cr3t" pin = [815] }'))
    assert "815" not in repr(read_hcl("pin = 815"))
