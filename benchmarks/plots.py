"""The figures that are easier seen than read, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(parts: dict[str, Any], out: Path) -> list[Path]:
    """Draw what was measured; says which files."""
    import matplotlib

    matplotlib.use("svg")
    bars = {"memory_hit": "10 s", "disk_hit": "10 s", "miss": "10 s", "first_hit": None, "start": None, "job": None}
    drawn = [
        _bars(name, part if clip is None else part[clip], part["unit"], out)
        for name, clip in bars.items()
        if (part := parts.get(name)) is not None
    ]
    lines = {
        "growth": ("opening, {} voices", "any voice of {}"),
        "threads": ("{} threads, one model", "{} threads, a model each"),
    }
    return drawn + [_lines(name, labels, parts[name], out) for name, labels in lines.items() if name in parts]


def _bars(name: str, figures: dict[str, Any], unit: str, out: Path) -> Path:
    import matplotlib.pyplot as plt

    shown = {label: figure for label, figure in figures.items() if isinstance(figure, dict)}
    medians = [figure["median"] for figure in shown.values()]
    spread = [
        [max(0.0, figure["median"] - figure["low"]) for figure in shown.values()],
        [max(0.0, figure["high"] - figure["median"]) for figure in shown.values()],
    ]
    canvas, axes = plt.subplots(figsize=(8, 0.8 + 0.4 * len(shown)), layout="constrained")
    axes.barh(list(shown), medians, xerr=spread, color=["#4c72b0" if _is_ours(label) else "#bbbbbb" for label in shown])
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(name)
    return _saved(canvas, out / f"{name}.svg")


def _lines(name: str, labels: tuple[str, ...], figures: dict[str, Any], out: Path) -> Path:
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for label in labels:
        before, after = label.split("{}")
        points = {
            int(key.removeprefix(before).removesuffix(after)): figure["median"]
            for key, figure in figures.items()
            if key.startswith(before) and key.endswith(after)
        }
        axes.plot(list(points), list(points.values()), marker="o", label=label.format("n"))
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("n")
    axes.set_ylabel(figures["unit"])
    axes.set_title(name)
    axes.legend()
    return _saved(canvas, out / f"{name}.svg")


def _is_ours(label: str) -> bool:
    return label.startswith(("enable()", "CachedTTS", "ConditionalCache", "import and enable()")) or "enable()" in label


def _saved(canvas: Any, file: Path) -> Path:
    import matplotlib.pyplot as plt

    canvas.savefig(file)
    plt.close(canvas)
    return file
