"""What the demo prints."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparison import Comparison, Spoken

_HEAD = "{:<24} {:>17}  {:>17}  {:<8} {}"
_ROW = "{:<24} {:>8} {:>8}  {:>8} {:>8}  {:<8} {}"


def print_table(given: str, names: Sequence[str], result: Comparison, published: bool) -> None:
    """The times of each text or clip, whichever is ``given``, by name."""
    row = _ROW.format
    print("", _HEAD.format("", "without the cache", "with the cache", "voice", "same"), sep="\n")
    print(row(given, "prepare", "generate", "prepare", "generate", "from", "samples"))
    print("-" * 79)
    for name, one, other, same in zip(names, result.without, result.cached, result.same, strict=False):
        print(row(name, *_times(one), *_times(other), other.source, "yes" if same else "NO"))
    print("-" * 79)
    print(row("all four", *_times(*result.without), *_times(*result.cached), "", "").rstrip(), flush=True)
    new, verdict = result.restarted, "the same" if result.same[-1] else "NOT THE SAME"
    say(
        "",
        f"After a new start (a new cache on the same folder) the first {given}'s voice comes from {new.source}:"
        f" prepared in {time_of(new.preparing)}, samples {verdict}.",
    )
    if not published:
        say("The times of 'generate' are of random weights, cut short: not those of Chatterbox.")


def print_memory(memory: Mapping[str, float | None], device: str) -> None:
    how, upstream = "resident memory" if device == "cpu" else "GPU memory", memory["upstream_mb"]
    held = "not measured on this system" if upstream is None else f"{upstream:.0f} MB of {how}"
    say(
        "",
        "Memory that stays in use for each voice that is kept:",
        f"* upstream's own conditionals, with the autograd graph they hold: {held}",
        f"* the cache's copy: {memory['cache_mb']:.2f} MB in memory, {memory['disk_mb']:.2f} MB on disk",
    )


def _times(*spoken: Spoken) -> tuple[str, str]:
    return time_of(sum(one.preparing for one in spoken)), time_of(sum(one.generating for one in spoken))


def time_of(seconds: float) -> str:
    """Seconds as text."""
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def say(*paragraphs: str) -> None:
    """Print, wrapped at 79 columns, and at once: in a pipe the order with what libraries print stays right."""
    for paragraph in paragraphs:
        indent = "  " if paragraph.startswith("* ") else ""
        print(textwrap.fill(paragraph, 79, subsequent_indent=indent, break_on_hyphens=False), flush=True)
