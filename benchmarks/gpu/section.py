"""A run as the section of docs/benchmarks.md: written by this and by nothing else."""

from __future__ import annotations

import re
from typing import Any

from ..report import cell
from .stand import KINDS

HEADING = "## On a GPU"
_UNMEASURED = f"""\
{HEADING}

Not measured on a GPU. `make bench-gpu` does it, in six minutes on one NVIDIA GPU.
"""
_SECTION = re.compile(rf"^{HEADING}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)

_SUBJECTS = {
    "building": ("The models", "The first preparation of all loads what is loaded once."),
    "preparation": ("A preparation, in ms", "Clips of 10 s. A hit after a pause looks at all weights, as one after a"
                    " generation does."),
    "in_float32": ("A call in float32", "A generation without a preparation, and which share of a call that has both"
                   " the preparation is: what a hit spares of it."),
    "in_bfloat16": ("A call with T3 in bfloat16", "The same with T3 cast to bfloat16, and of the conditionals what T3"
                    " gets."),
    "fingerprint": ("The fingerprint, in ms", "Taken once per model, and beside it what it can't do without."),
    "memory": ("Memory on the GPU, in MB per voice", "What a server with these voices holds."),
    "repeatable": ("Upstream's preparation again, in one process", "The same bits?"),
    "in_two_processes": ("Upstream's preparation again, in another process", "The same weights and voices, the same"
                         " bits?"),
    "samples": ("A seeded call", "The same samples as upstream alone has said before, bit for bit? On a GPU"
                " upstream alone may differ from itself in the last bits of a generation; its preparations are compared"
                " above."),
    "autocast": ("Under autocast", "What upstream alone does, and whether hits are equal."),
    "whole_model": ("Models cast to bfloat16", "What upstream alone does."),
    "checks": ("Promises", "Of an English model, each with a cache of its own."),
}  # fmt: skip


def section(result: dict[str, Any]) -> str:
    """The section, with its heading."""
    tables = [_table(subject, result["subjects"].get(subject, {})) for subject in _SUBJECTS]
    return "\n".join([HEADING, "", _introduction(result), *filter(None, tables), *_missing(result)])


def with_section(page: str, text: str) -> str:
    """``page`` with this section in the place of the one that it has, or at its end."""
    if _SECTION.search(page):
        # A function, since a replacement's backslashes would mean something.
        return _SECTION.sub(lambda found: f"{text.rstrip()}\n" + ("\n" if found.end() < len(page) else ""), page)
    return f"{page.rstrip()}\n\n{text.rstrip()}\n"


def section_of(page: str) -> str:
    """The section that a page has; for a page without one, that nothing was measured."""
    found = _SECTION.search(page)
    return found[0] if found else _UNMEASURED


def _introduction(result: dict[str, Any]) -> str:
    gpu, machine = result["gpu"], result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in {**gpu["versions"], **machine["versions"]}.items())
    sizes = "**Small sizes: this only shows that the script runs.** " if result["small"] else ""
    notes = "".join(f" {note}" for note in result["notes"])
    return f"""\
One run of `{result["command"]}` ({result["date"]}, {result["seconds"]:.0f} s), in full and as it came out.

{sizes}{gpu["name"]}{gpu["memory"]}. {machine["cores"]} cores ({machine["processor"]}), memory
{machine["memory"]}, {machine["system"]}; Python {machine["python"]}. {versions}.

The weights were random, T3 had its full size, S3Gen took all of its diffusion steps, and nothing was watermarked. How
much is said does not come from the text: generations are stopped after a number of tokens, of which each is 40 ms of
speech. The multilingual model's analyzer of alignments worked and was not heeded, since it ends random speech anywhere;
the hooks that it leaves behind at each generation were taken away before the next. Times are medians, in brackets the
10th and the 90th percentile, each call waited for until the GPU has done it all.{notes}
"""


def _table(subject: str, by_kind: dict[str, Any]) -> str:
    measured = {kind: by_kind[kind]["figures"] for kind in KINDS if "figures" in by_kind.get(kind, {})}
    if not measured:
        return ""
    title, sentence = _SUBJECTS[subject]
    rows = dict.fromkeys(row for figures in measured.values() for row in figures)
    lines = [f"### {title}", "", sentence, "", f"| | {' | '.join(measured)} |", "|---" * (len(measured) + 1) + "|"]
    lines += [f"| {row} | {' | '.join(_shown(figures.get(row)) for figures in measured.values())} |" for row in rows]
    return "\n".join([*lines, ""])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return value.replace("|", "/") if isinstance(value, str) else cell(value)


def _missing(result: dict[str, Any]) -> list[str]:
    missing = [
        f"- {subject}, {kind}: {found.get('error') or found['skipped']}"
        for subject, by_kind in result["subjects"].items()
        for kind, found in by_kind.items()
        if "figures" not in found
    ]
    return ["### What failed, or did not fit", "", *missing, ""] if missing else []
