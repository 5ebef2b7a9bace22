"""The figures that are easier seen than read, as SVG for docs/plots.md; readable on white and on black."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Parts = dict[str, Any]

_GREY = "#767676"  # as far from white as from black
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#3a9bdc", _GREY)
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "chatterbox-cached",  # the same figures give the same file
    "font.family": "sans-serif",
    "font.size": 11,
    "savefig.transparent": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _GREY),
}
_SECONDS_PER_TOKEN = 0.04


def renew(folder: Path, **results: Any) -> list[Path]:
    """Keep a ``run`` or a ``gpu`` result in ``folder``, and draw there what it and the one that is kept allow."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    kept = {name: folder / f"{name}.json" for name in ("run", "gpu")}
    run, gpu = (json.loads(file.read_text()) if file.exists() else {} for file in kept.values())
    return draw(run.get("parts", {}), gpu, folder)


def draw(parts: Parts, gpu: Parts, out: Path) -> list[Path]:
    """Draw what was measured; says which files."""
    import matplotlib

    matplotlib.use("svg")
    figures = {
        _cost: {"miss", "first_hit", "memory_hit", "disk_hit"},
        _share: {"speech"},
        _hit: {"pieces", "first_hit", "memory_hit", "disk_hit"},
        _growth: {"growth"},
    }
    with matplotlib.rc_context(_STYLE):
        return [draw_it(parts, gpu, out) for draw_it, needed in figures.items() if needed <= parts.keys()]


def _cost(parts: Parts, _: Parts, out: Path) -> Path:
    """Milliseconds of a preparation, and of each kind of hit."""
    hits = parts["memory_hit"]["10 s"]
    costs = {
        "upstream's preparation": parts["miss"]["10 s"]["upstream alone"]["median"],
        "first hit in a new process": parts["first_hit"]["enable()"]["median"],
        "memory hit after a generation": hits["enable() after a pause"]["median"] / 1e3,
        "disk hit": parts["disk_hit"]["10 s"]["enable()"]["median"] / 1e3,
        "memory hit in a loop": hits["enable()"]["median"] / 1e3,
    }
    with _canvas(out / "cost.svg", "What a voice costs in a call", (8, 2.6)) as axes:
        axes.set_xscale("log")
        bars = axes.barh(list(costs), list(costs.values()), color=[_GREY, *[_COLOURS[0]] * 4])
        axes.bar_label(bars, [_time(cost) for cost in costs.values()], padding=4)
        axes.set_xticks([0.01, 0.1, 1, 10, 100, 1000], ["10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s"])
        axes.minorticks_off()
        axes.set_xlim(0.01, 8e3)
        axes.invert_yaxis()
        axes.set_xlabel("each line is ten times the one before")
        axes.grid(axis="x", color=_GREY, alpha=0.3)
    return out / "cost.svg"


def _share(parts: Parts, gpu: Parts, out: Path) -> Path:
    """The share of a call that is its preparation, by the length of what is said."""
    speech = {f"{kind}, CPU": figures for kind, figures in _columns(parts["speech"]).items()}
    on_gpu = gpu.get("subjects", {}).get("in_float32", {})
    speech |= {f"{kind}, GPU": found["figures"] for kind, found in on_gpu.items() if "figures" in found}
    with _canvas(out / "share.svg", "Share of a call that is its preparation", (8, 3.6)) as axes:
        for name, figures in speech.items():
            points = _by_number("share of the preparation, {} tokens (%)", figures)
            spoken = [tokens * _SECONDS_PER_TOKEN for tokens in points]
            dashes, colour = ("--" if "GPU" in name else "-"), _COLOURS[_KINDS.index(name.partition(",")[0])]
            axes.plot(spoken, list(points.values()), dashes, marker="o", color=colour, label=name)
        _name_axes(axes, spoken, "seconds of speech", "%")
    return out / "share.svg"


_KINDS = ("english", "turbo", "multilingual")


def _hit(parts: Parts, _: Parts, out: Path) -> Path:
    """What the time of a hit is spent on."""
    pieces, hits = _columns(parts["pieces"]), parts["memory_hit"]["10 s"]
    took = (
        hits["enable()"]["median"] / 1e3,
        hits["enable() after a pause"]["median"] / 1e3,
        parts["disk_hit"]["10 s"]["enable()"]["median"] / 1e3,
        parts["first_hit"]["enable()"]["median"],
    )
    labels = [f"{name}\n{_time(each)}" for name, each in zip(pieces, took, strict=True)]
    with _canvas(out / "hit.svg", "Where the time of a hit goes", (8, 4.2)) as axes:
        done = [0.0] * len(labels)
        for colour, piece in zip(_COLOURS, next(iter(pieces.values())), strict=True):
            shares = [hit[piece] for hit in pieces.values()]
            axes.barh(labels, shares, left=done, color=colour, label=piece, height=0.65)
            done = [before + share for before, share in zip(done, shares, strict=True)]
        axes.set_xlim(0, 100)
        axes.invert_yaxis()
        axes.set_xlabel("%")
        axes.figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return out / "hit.svg"


def _growth(parts: Parts, _: Parts, out: Path) -> Path:
    """A disk hit and the opening of a folder, by the number of its voices."""
    growth = parts["growth"]
    hits = {n: us / 1e3 for n, us in _by_number("any voice of {}", growth).items()}
    with _canvas(out / "growth.svg", "More voices in the folder", (8, 3.2)) as axes:
        openings = _by_number("opening, {} voices", growth)
        axes.plot(list(openings), list(openings.values()), marker="o", color=_COLOURS[1], label="opening the folder")
        axes.plot(list(hits), list(hits.values()), marker="o", color=_COLOURS[0], label="disk hit, any of the voices")
        _name_axes(axes, list(hits), "voices on disk", "ms")
    return out / "growth.svg"


def _name_axes(axes: Any, points: Sequence[float], across: str, up: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(points, [f"{point:,.0f}" for point in points])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.legend(frameon=False)


def _columns(part: Parts) -> Parts:
    return {name: column for name, column in part.items() if isinstance(column, dict)}


def _by_number(label: str, figures: Parts) -> dict[int, float]:
    """The figures whose names are ``label`` with a number."""
    before, after = label.split("{}")
    return {
        int(key.removeprefix(before).removesuffix(after)): figure["median"] if isinstance(figure, dict) else figure
        for key, figure in figures.items()
        if key.startswith(before) and key.endswith(after)
    }


def _time(milliseconds: float) -> str:
    if milliseconds < 1:
        return f"{1e3 * milliseconds:.0f} us"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


@contextmanager
def _canvas(file: Path, title: str, size: tuple[float, float]) -> Iterator[Any]:
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(figsize=size, layout="constrained")
    axes.set_title(title)
    yield axes
    canvas.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(canvas)
