"""HTML as text: everything that comes from elsewhere passes `text`."""

from __future__ import annotations

from html import escape

from leasekeeper.web.document import Problem


def text(value: object) -> str:
    """Return *value* for use between tags and in quoted attributes."""
    plain = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    # Other control characters are no HTML, and a browser may not show where they are.
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in plain)
    return escape(shown, quote=True)


def moment(at: str | None, kind: str = "when", *, never: str = "never") -> str:
    """Return a time that the page's script turns into words that follow the clock.

    *kind* is ``when`` ("in 5 s", "3 min ago"), ``left`` (5 s to go) or ``for`` (5 s ago). Without
    a script the time itself is there to read.
    """
    if at is None:
        return never
    return _time(at, f' data-kind="{kind}"')


def clock(at: str | None, *, never: str = "never") -> str:
    """Return the time of day, which does not move."""
    if at is None:
        return never
    return _time(at)


def _time(at: str, more: str = "") -> str:
    day, _, hour = at.rstrip("Z").partition("T")
    full = text(f"{day} {hour} UTC")
    return f'<time datetime="{text(at)}"{more} title="{full}">{text(hour)}</time>'


def pill(word: str, kind: str) -> str:
    """Return a word on a ground of the colour of *kind*: good, warn, bad or wait."""
    return f'<span class="pill {kind}">{text(word)}</span>'


def fault(problem: Problem | None) -> str:
    """Return an error with what mends it, or nothing."""
    if problem is None:
        return ""
    fix = f'<p class="fix">{text(problem["hint"])}</p>' if problem["hint"] else ""
    return (
        f'<p class="bad"><code>{text(problem["code"])}</code> {text(problem["message"])}</p>{fix}'
    )
