"""Tables and plots of docs/performance.md; the words between them are written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plots import line_plot
from benchmarks.programs import LEASEKEEPER, PEER, PROGRAMS
from benchmarks.results import Results


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table. *must* None means: less than the peer; 0 sets no goal."""

    title: str
    scenario: str
    work: str
    metric: str
    unit: str
    must: float | None
    aim: float | None = None


_ROWS = (
    _Row("process start to first output, 1 template", "sizes", "1", "written_s", "s", 0.45, 0.30),
    _Row("the same with IAM login", "iam", "1", "written_s", "s", 0.60, 0.45),
    _Row("resident memory, 1 template", "sizes", "1", "memory_mib", "MiB", 55, 45),
    _Row("the same with IAM login", "iam", "1", "memory_mib", "MiB", 62),
    _Row("resident memory, 1,000 templates", "sizes", "1000", "memory_mib", "MiB", 85, 65),
    _Row("1,000 templates with a secret each, all written", "sizes", "1000", "written_s", "s", 1.6,
         1.3),
    _Row("2,000, all written", "sizes", "2000", "written_s", "s", 2.9, 2.4),
    _Row("CPU, 1,000 templates refreshed every 5 s, over 12 s", "refresh", "1000", "cpu_s", "s",
         1.6, 1.0),
    _Row("CPU, 20 secrets, idle for 60 s", "idle", "20", "cpu_s", "s", None, 0.05),
    _Row("change in KV to file on disk at a 1 s interval, p95", "change", "10", "p95_s", "s", 1.05),
    _Row("200 templates, one secret that changes 20 times: to the last file", "fan_out", "200",
         "total_s", "s", None),
    _Row("of that, from the first file to the last", "fan_out", "200", "first_to_last_s", "s",
         None),
    _Row("CPU for it", "fan_out", "200", "cpu_s", "s", 0),
)  # fmt: skip
_PLOTS = (
    ("start.svg", "Process start to all files written, seconds", "written_s"),
    ("memory.svg", "Resident memory afterwards, MiB", "memory_mib"),
    ("cpu.svg", "CPU until all files are written, seconds", "cpu_s"),
)


def table(results: Results) -> str:
    """Return the comparison as a table in Markdown."""
    lines = [
        "| work | Leasekeeper | `bao agent` | ratio | must reach | reached |",
        "|---|---:|---:|---:|---:|---|",
    ]
    return "\n".join([*lines, *(line for row in _ROWS for line in _table_line(results, row))])


def _table_line(results: Results, row: _Row) -> Iterable[str]:
    ours, peer = (
        results.median(row.scenario, row.work, program, row.metric) for program in PROGRAMS
    )
    if ours is None:
        return
    must = row.must if row.must is not None else peer
    reached = "" if not must else "no" if ours > must else "yes"
    if row.aim is not None and ours <= row.aim:
        reached += f", and the aim of {row.aim:g} {row.unit}"
    goal = "the peer" if row.must is None else f"{row.must:g} {row.unit}" if row.must else "-"
    ratio = "-" if peer is None else f"{ours / peer:.2f}"
    theirs = "-" if peer is None else _number(peer, row.unit)
    yield (f"| {row.title} | {_number(ours, row.unit)} | {theirs} | {ratio} | {goal} | {reached} |")


def _number(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value >= 10 else f"{value:.2f} {unit}"


def _growth(results: Results) -> str:
    head = (
        "| templates | written: Leasekeeper | `bao agent` | memory: Leasekeeper | `bao agent` |"
        " CPU: Leasekeeper | `bao agent` |"
    )
    lines = [head, "|---:|" + "---:|" * 6]
    for work in results.works("sizes"):
        cells = [
            _number(found, unit) if found is not None else "-"
            for metric, unit in (("written_s", "s"), ("memory_mib", "MiB"), ("cpu_s", "s"))
            for found in (results.median("sizes", work, program, metric) for program in PROGRAMS)
        ]
        lines.append(f"| {int(work):,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _imports(results: Results) -> str:
    lines = ["| import | CPU | memory |", "|---|---:|---:|"]
    for work in results.works("imports"):
        took = results.median("imports", work, LEASEKEEPER, "cpu_s") or 0.0
        grown = results.median("imports", work, LEASEKEEPER, "memory_mib") or 0.0
        lines.append(f"| `{work}` | {took * 1000:.0f} ms | {grown:.1f} MiB |")
    return "\n".join(lines)


def _templates(results: Results) -> str:
    found = (
        results.median("template", "1", LEASEKEEPER, metric)
        for metric in ("render_us", "compile_us")
    )
    render, compilation = (value or 0.0 for value in found)
    return (
        f"A template of ten lines renders in {render:.0f} microseconds and compiles in "
        f"{compilation:.0f}."
    )


def _profile(results: Results) -> str:
    values = next(each["values"] for each in results.records if each["scenario"] == "profile")
    lines = ["| work | share |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {kind} | {part:.0f} % |" for kind, part in values.items())])


def _machine(results: Results) -> str:
    of = results.machine
    return (
        f"Measured on {of['when']}: {of['cores']} cores ({of['processor']}), "
        f"Python {of['python']}, Leasekeeper {of['leasekeeper']}, OpenBao {of['bao']}."
    )


def write(results: Results, docs: Path) -> None:
    """Write the plots, and everything between the markers of the page."""
    for name, title, metric in _PLOTS:
        series = {
            program: [
                (float(work), value)
                for work in results.works("sizes")
                if (value := results.median("sizes", work, program, metric))
            ]
            for program in (LEASEKEEPER, PEER)
        }
        if all(len(points) > 1 for points in series.values()):
            plot = line_plot(title, "templates, each with a secret of its own", series)
            (docs / "performance" / name).write_text(plot, encoding="utf-8")
    blocks = {
        "machine": _machine(results),
        "comparison": table(results),
        "growth": _growth(results),
        "imports": _imports(results),
        "templates": _templates(results),
        "profile": _profile(results),
    }
    fill(docs / "performance.md", blocks)


def fill(page: Path, blocks: Mapping[str, str]) -> None:
    """Put each of *blocks* between its markers in *page*."""
    text = page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{block}\n{end}{rest.partition(end)[2]}"
    page.write_text(text, encoding="utf-8")
