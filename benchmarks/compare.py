"""A quick run against the stored one: ratios within each run, since times differ from machine to machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).with_name("reference.json")
# Of ratios of medians on a busy machine: what is worth a look, and what is wrong for certain.
WORTH_A_LOOK, GROSS = 1.5, 3.0

Ratios = dict[str, float]
# What is measured, and what it is set against: both in one part of the same run.
_RATIOS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "memory hit / hit of the guide's": (("memory_hit", "10 s", "enable()"), ("memory_hit", "10 s", "pt by path")),
    "memory hit / small clone": (("memory_hit", "10 s", "enable()"), ("memory_hit", "10 s", "floor: small clone")),
    "CachedTTS / enable()": (("memory_hit", "10 s", "CachedTTS"), ("memory_hit", "10 s", "enable()")),
    "ConditionalCache / enable()": (("memory_hit", "10 s", "ConditionalCache"), ("memory_hit", "10 s", "enable()")),
    "disk hit / read and SHA-256": (
        ("disk_hit", "10 s", "enable()"),
        ("disk_hit", "10 s", "floor: one read and one SHA-256"),
    ),
    "disk hit / Conditionals.load": (("disk_hit", "10 s", "enable()"), ("disk_hit", "10 s", "Conditionals.load")),
    "first hit / read of the weights": (("first_hit", "enable()"), ("first_hit", "floor: one read of the weights")),
    "import and enable() / import wrapt": (("start", "import and enable()"), ("start", "import wrapt")),
    "generate / memory hit": (("generate", "enable()"), ("memory_hit", "10 s", "enable()")),
    "1 thread / 8 threads": (("threads", "1 threads, a model each"), ("threads", "8 threads, a model each")),
}


def ratios(result: dict[str, Any]) -> Ratios:
    """The ratios whose figures are in this run; more is worse in all of them."""

    def median(path: tuple[str, ...]) -> float | None:
        found: Any = result["parts"]
        for name in path:
            found = found.get(name, {})
        return found.get("median")

    found = {name: (median(above), median(below)) for name, (above, below) in _RATIOS.items()}
    return {name: above / below for name, (above, below) in found.items() if above and below}


def store(result: dict[str, Any], file: Path) -> None:
    """Keep the ratios of this run for later ones."""
    kept = {"date": result["date"], "machine": result["machine"], "ratios": ratios(result)}
    file.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"stored {len(kept['ratios'])} ratios in {file.name}")


def compare(result: dict[str, Any], reference: dict[str, Any]) -> int:
    """Print how the ratios have changed; 1 where one of them is grossly worse, else 0."""
    gross = 0
    print(f"{'ratio':36} {'stored':>8} {'now':>8} {'change':>8}")
    for name, now in ratios(result).items():
        before = reference["ratios"].get(name)
        if before is None:
            print(f"{name:36} {'-':>8} {now:8.2f}")
            continue
        change = now / before
        said = "worse" if change > GROSS else "worth a look" if change > WORTH_A_LOOK else ""
        gross += change > GROSS
        print(f"{name:36} {before:8.2f} {now:8.2f} {change:7.2f}x {said}")
    print(f"{gross} grossly worse" if gross else "nothing is grossly worse")
    return int(gross > 0)
