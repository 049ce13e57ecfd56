"""Line plots, as SVG of a few kilobytes that diffs well: on two logarithmic axes, or over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 120, 40, 44
_COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """Maps a logarithmic range to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> Iterable[float]:
        """Yield 1, 2 and 5 times every power of ten in the range."""
        for power in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1):
            for step in (1, 2, 5):
                tick = step * 10.0**power
                if self.low <= tick * 1.0001 and tick <= self.high * 1.0001:
                    yield tick


def line_plot(title: str, x_label: str, series: Mapping[str, Points]) -> str:
    """Return a plot with one line for each of *series*; all values are above 0."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_axis = _Axis(low=min(xs), high=max(xs), start=_LEFT, end=_WIDTH - _RIGHT)
    low, high = _round_down(min(ys)), _round_down(max(ys)) * 2.5
    y_axis = _Axis(low=low, high=max(high, max(ys)), start=_HEIGHT - _BOTTOM, end=_TOP)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        '<g font-family="sans-serif" font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{title}</text>',
        *_grid(x_axis, y_axis),
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{x_label}</text>',
    ]
    for colour, (name, points) in zip(_COLOURS, series.items(), strict=False):
        parts += _line(name, colour, [(x_axis.at(x), y_axis.at(y)) for x, y in points])
    return "\n".join([*parts, "</g></svg>\n"])


def time_plot(title: str, x_label: str, step: float, series: Mapping[str, Sequence[float]]) -> str:
    """Return a plot from 0 on two even axes; each of *series* has a value every *step*."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    longest = max(len(values) for values in series.values()) * step
    highest = max(max(values) for values in series.values()) or 1
    tick_x, tick_y = _round_down(longest / 4), _round_down(highest / 4)
    x_scale, y_scale = (right - _LEFT) / longest, (bottom - _TOP) / highest
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        '<g font-family="sans-serif" font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{title}</text>',
    ]
    for number in range(int(longest / tick_x) + 1):
        x = round(_LEFT + number * tick_x * x_scale, 1)
        label = f"{number * tick_x:,g}"
        parts.append(f'<path d="M{x} {bottom}V{_TOP}" stroke="#eee"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{label}</text>')
    for number in range(int(highest / tick_y) + 1):
        y = round(bottom - number * tick_y * y_scale, 1)
        label = f"{number * tick_y:,g}"
        parts.append(f'<path d="M{_LEFT} {y}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{label}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{x_label}</text>')
    for place, (colour, (name, values)) in enumerate(zip(_COLOURS, series.items(), strict=False)):
        path = "L".join(
            f"{_LEFT + at * step * x_scale:.1f} {bottom - value * y_scale:.1f}"
            for at, value in enumerate(values)
        )
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        y = _TOP + 14 + 18 * place
        parts.append(f'<text x="{right + 8}" y="{y}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</g></svg>\n"])


def _round_down(value: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above *value*."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value * 1.0001)


def _grid(x_axis: _Axis, y_axis: _Axis) -> Iterable[str]:
    for tick in x_axis.ticks():
        x = x_axis.at(tick)
        yield f'<path d="M{x} {y_axis.start}V{y_axis.end}" stroke="#eee"/>'
        if str(tick)[0] in "15" or tick == x_axis.high:
            yield f'<text x="{x}" y="{y_axis.start + 16}" text-anchor="middle">{tick:,g}</text>'
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        yield f'<path d="M{x_axis.start} {y}H{x_axis.end}" stroke="#ddd"/>'
        yield f'<text x="{x_axis.start - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>'


def _line(name: str, colour: str, points: Points) -> Iterable[str]:
    path = "L".join(f"{x} {y}" for x, y in points)
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in points:
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
    x, y = points[-1]
    yield f'<text x="{x + 8}" y="{y + 4}" fill="{colour}">{name}</text>'
