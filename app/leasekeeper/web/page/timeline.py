"""The life of a credential as a line: issued, renewals, now, next action, rotation, expiry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from leasekeeper.web.page.markup import clock, moment, text

# The ends keep clear of the edge, so that no mark is cut: 1 % on each side. `page.js` knows.
_MARGIN = 1.0
_HALF = "50%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Times in the form of /status. Without *expires* the line ends with the next action."""

    issued: str
    renewed: Sequence[str] = ()
    next: str | None = None
    next_name: str = "renewal"
    rotation: str | None = None
    rotation_name: str = "rotation"
    expires: str | None = None


LEGEND = """\
<ul class="legend" aria-hidden="true">
<li><svg class="marks"><circle class="issued" cx="50%" cy="50%" r="5"/></svg>issued</li>
<li><svg class="marks"><circle class="renewed" cx="50%" cy="50%" r="4"/></svg>renewed</li>
<li><svg class="marks"><line class="now" x1="50%" x2="50%" y1="0" y2="100%"/></svg>now</li>
<li><svg class="marks"><svg x="50%" y="50%" overflow="visible"><path class="next" \
d="M0-6 6 0 0 6-6 0z"/></svg></svg>next renewal or reading</li>
<li><svg class="marks"><svg x="50%" y="50%" overflow="visible"><path class="rotation" \
d="M-5-5H5L0 5z"/></svg></svg>new value at the latest</li>
<li><svg class="marks"><line class="expiry" x1="50%" x2="50%" y1="1" y2="15"/></svg>expiry</li>
</ul>"""


def line(life: Life, now: str) -> str:
    """Return the line with its two ends in words. *now* is only where its mark begins."""
    last = life.expires or life.rotation or life.next or now
    begin, end = _seconds(life.issued), max(_seconds(last), _seconds(life.issued) + 1)

    def x(at: str) -> str:
        part = min(max((_seconds(at) - begin) / (end - begin), 0.0), 1.0)
        return f"{_MARGIN + part * (100 - 2 * _MARGIN):.2f}%"

    marks = [_circle("renewed", x(at), 4) for at in life.renewed]
    if life.rotation is not None:
        marks.append(_shape("rotation", x(life.rotation), "M-5-5H5L0 5z"))
    if life.next is not None:
        marks.append(_shape("next", x(life.next), "M0-6 6 0 0 6-6 0z"))
    if life.expires is not None:
        at = x(life.expires)
        marks.append(f'<line class="expiry" x1="{at}" x2="{at}" y1="22%" y2="78%"/>')
    return (
        f'<svg class="line marks" role="img" aria-label="{text(_words(life))}" '
        f'data-from="{text(life.issued)}" data-to="{text(last)}">'
        f'<line class="track" x1="{_MARGIN}%" x2="{100 - _MARGIN}%" y1="{_HALF}" y2="{_HALF}"/>'
        f'<line class="past" x1="{_MARGIN}%" x2="{x(now)}" y1="{_HALF}" y2="{_HALF}"/>'
        f"{_circle('issued', x(life.issued), 5)}{''.join(marks)}"
        f'<line class="now" x1="{x(now)}" x2="{x(now)}" y1="8%" y2="92%"/></svg>'
        f'<p class="ends soft"><span>issued {clock(life.issued)}</span>{_right(life)}</p>'
    )


def _right(life: Life) -> str:
    if life.expires is not None:
        return f"<span>expires {clock(life.expires)}, {moment(life.expires)}</span>"
    if life.rotation is not None:
        return f"<span>{text(life.rotation_name)} {moment(life.rotation)}</span>"
    return "<span>never expires</span>"


def _words(life: Life) -> str:
    parts = [f"Issued {life.issued}"]
    if life.renewed:
        parts.append(f"last renewed {life.renewed[-1]}")
    if life.next is not None:
        parts.append(f"next {life.next_name} {life.next}")
    if life.rotation is not None:
        parts.append(f"{life.rotation_name} at the latest {life.rotation}")
    parts.append(f"expires {life.expires}" if life.expires else "never expires")
    return ", ".join(parts)


def _circle(kind: str, x: str, radius: int) -> str:
    return f'<circle class="{kind}" cx="{x}" cy="{_HALF}" r="{radius}"/>'


def _shape(kind: str, x: str, path: str) -> str:
    # A path knows no percentages, but the picture that it stands in does.
    return f'<svg x="{x}" y="{_HALF}" overflow="visible"><path class="{kind}" d="{path}"/></svg>'


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
