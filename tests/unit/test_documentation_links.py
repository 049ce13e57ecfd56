"""Every link of the pages to a file or a heading of this repository leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "*/README.md", "config/*/README.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    """Yield the targets of *page* within the repository; code holds none."""
    for target in LINK.findall(CODE.sub("`code`", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return what may follow ``#``: explicit ids, and headings as GitHub and GitLab slug them."""
    text = page.read_text(encoding="utf-8")
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        found.add(next(name for name in numbered(slug) if name not in found))
    return frozenset(found)


def numbered(slug: str) -> Iterator[str]:
    """Yield the names of the first, second, third heading with one text."""
    yield slug
    for count in range(1, 1000):
        yield f"{slug}-{count}"


def broken(page: Path) -> Iterator[str]:
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or not file.is_relative_to(ROOT):
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_the_readme_leads_to_every_page() -> None:
    """A page that nobody finds helps nobody."""
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(ROOT / "README.md")}

    assert {page.name for page in (ROOT / "docs").glob("*.md") if page not in linked} == set()


def test_links_in_code_and_to_other_sites_are_not_looked_up(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n`[a](b)` [c](https://d) [e](#f) [g](h.md)\n# A b c\n")

    assert list(links(page)) == ["#f", "h.md"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}
