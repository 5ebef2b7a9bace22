"""A run as Markdown: the targets, then every figure. The page in docs/ is written by this and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .targets import TARGETS

_INTRODUCTION = """\
# Benchmarks

One run of `{command}` ({date}, {minutes} minutes), in full and as it came out. This page is written by
`python -m benchmarks --docs docs/benchmarks.md`; see [its README](../benchmarks/README.md) to run it yourself, and
[performance.md](performance.md) for where the time goes.

{machine}

**The weights were random.** Voice encoder, S3Gen and the reference audio's way through them have their real
architecture and full size, so shapes, sizes and the times of preparations, hits and fingerprints are the real ones:
none of them depends on what the weights say. The sound does, and so does the length of a generation. Generations were
cut short or off, so what a whole job gains on your machine is not to be read from here: with the published weights a
generation on a CPU takes far longer than a preparation, and the cache saves nothing of that.

All ways took turns within each part (A B A B), with one thread each. Figures are medians; in brackets the 10th
and the 90th percentile.
"""


def write(result: dict[str, Any], out: Path, docs: Path | None) -> None:
    """Write the page and the plots to ``out``, and both beside ``docs``, whose section on a GPU stays."""
    from . import plots
    from .gpu import section

    out.mkdir(parents=True, exist_ok=True)
    text = page(result)
    (out / "benchmarks.md").write_text(text)
    if docs is not None:
        before = docs.read_text() if docs.exists() else ""
        docs.write_text(section.with_section(text, section.section_of(before)))
        plots.renew(docs.parent / "plots", run=result)
    for written in (*plots.draw(result["parts"], {}, out), out / "benchmarks.md"):
        print(written)


def page(result: dict[str, Any]) -> str:
    """The whole page."""
    introduction = _INTRODUCTION.format(
        command=result["command"],
        date=result["date"],
        minutes=round(result["seconds"] / 60),
        machine=_machine(result["machine"]),
    )
    parts = "\n".join(_part(name, figures) for name, figures in result["parts"].items())
    return f"{introduction}\n## Targets\n\n{_targets(result['parts'])}\n## Everything that was measured\n\n{parts}"


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Machine: {machine['cores']} cores ({machine['processor']}), memory {machine['memory']},"
        f" {machine['system']}, load {machine['load']} when it began; Python {machine['python']}. {versions}."
    )


def _targets(parts: dict[str, Any]) -> str:
    lines, reasons = ["| | to reach | measured | reached | beside it |", "|---|---|---|---|---|"], []
    for target in TARGETS:
        try:
            value, beside = target.measured(parts), target.beside(parts)
        except KeyError:  # its part was not run
            lines.append(f"| {target.what} | {target.wanted} | not measured | | |")
            continue
        reached = value <= target.most
        said = "yes" if reached else "**no**"
        lines.append(f"| {target.what} | {target.wanted} | {value:.3g} {target.unit} | {said} | {beside} |")
        if not reached and target.why:
            reasons.append(f"- **{target.what}**: {target.why}")
    return "\n".join([*lines, "", *(["What was not reached:", "", *reasons, ""] if reasons else [])])


def _part(name: str, part: dict[str, Any]) -> str:
    unit = part.get("unit", "")
    columns = {key: value for key, value in part.items() if isinstance(value, dict)}
    if all("median" in value for value in columns.values()):
        columns = {unit: columns}
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"### {name} ({unit})", "", "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {row} | " + " | ".join(cell(column.get(row)) for column in columns.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(figure: Any) -> str:
    """A figure, or a value without a spread, as it stands in a table."""
    if figure is None:
        return ""
    if isinstance(figure, dict):
        return f"{_short(figure['median'])} ({_short(figure['low'])}-{_short(figure['high'])})"
    return _short(figure)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
