"""Draws the rooms of the package and lists them, from the table that the tests keep: ``python -m docs.tools.rooms``.

It writes docs/rooms.svg, and the list into docs/architecture.md between its two marks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean

from tests.support.rooms import STANDS_ON

DOCS = Path(__file__).parents[1]
PACKAGE = DOCS.parent / "chatterbox_cached"
PAGE, FIGURE = DOCS / "architecture.md", DOCS / "rooms.svg"
BEGIN, END = "<!-- begin: made by docs/tools/rooms.py -->\n", "<!-- end -->\n"

_WIDTH, _HEIGHT = 128, 34  # of a box
_FLOOR, _APART = 74, 28  # from floor to floor, and between what is on one floor
_SWEEPS = 24

# A room, or the bend of an arrow that passes a floor: then the arrow and the floor.
Spot = str | tuple[str, str, int]


def floors(stands_on: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How high each room is: one floor above the highest that it stands on."""
    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            heights[room] = max((height(lower) + 1 for lower in stands_on[room]), default=0)
        return heights[room]

    for room in stands_on:
        height(room)
    return heights


def _arrows(stands_on: Mapping[str, Sequence[str]], heights: Mapping[str, int]) -> list[list[Spot]]:
    """Every arrow as the spots that it passes, one per floor, from its upper room to its lower one."""
    return [
        [upper, *((upper, lower, floor) for floor in range(heights[upper] - 1, heights[lower], -1)), lower]
        for upper, all_lower in stands_on.items()
        for lower in all_lower
    ]


def _places(arrows: Iterable[Sequence[Spot]], heights: Mapping[str, int]) -> dict[Spot, float]:
    """Where each spot is from left to right: near what it is joined with, and apart from what is on the same floor."""
    joined: dict[Spot, list[Spot]] = {room: [] for room in heights}
    for arrow in arrows:
        for one, other in pairwise(arrow):
            joined.setdefault(one, []).append(other)
            joined.setdefault(other, []).append(one)
    stories: dict[int, list[Spot]] = {}
    for spot in joined:
        stories.setdefault(heights[spot] if isinstance(spot, str) else spot[2], []).append(spot)
    place: dict[Spot, float] = {
        spot: float(number * _WIDTH) for story in stories.values() for number, spot in enumerate(story)
    }
    down = sorted(stories, reverse=True)
    for sweep in range(_SWEEPS):
        for floor in down if sweep % 2 == 0 else reversed(down):
            story = stories[floor]
            wish = {spot: mean([place[other] for other in joined[spot]] or [place[spot]]) for spot in story}
            story.sort(key=wish.__getitem__)
            place.update(zip(story, _apart(story, [wish[spot] for spot in story]), strict=True))
    return place


def _apart(story: Sequence[Spot], wishes: Sequence[float]) -> list[float]:
    """The wishes, moved apart as little as it takes for boxes and bends not to touch."""
    offsets = [0.0]
    for one, other in pairwise(story):
        offsets.append(offsets[-1] + (_room_for(one) + _room_for(other)) / 2 + _APART)
    best: list[list[float]] = []  # blocks of neighbours that touch, each with the wish that it has as a whole
    for wish, offset in zip(wishes, offsets, strict=True):
        best.append([wish - offset])
        while len(best) > 1 and mean(best[-2]) > mean(best[-1]):
            best[-2:] = [best[-2] + best[-1]]
    return [at + offset for at, offset in zip((mean(block) for block in best for _ in block), offsets, strict=True)]


def _room_for(spot: Spot) -> int:
    return _WIDTH if isinstance(spot, str) else 16


def figure() -> str:
    """The rooms and their arrows as SVG."""
    heights = floors(STANDS_ON)
    arrows = _arrows(STANDS_ON, heights)
    place = _places(arrows, heights)
    left, top = min(place.values()) - _WIDTH / 2 - 8, max(heights.values())

    def at(spot: Spot, edge: int = 0) -> str:
        floor = heights[spot] if isinstance(spot, str) else spot[2]
        return f"{place[spot] - left:.0f} {(top - floor) * _FLOOR + 8 + _HEIGHT / 2 + edge:.0f}"

    lines, boxes = [], []
    for arrow in arrows:
        # Straight down past the boxes of a floor, so that it touches none.
        bends = [f"L{at(spot, edge)}" for spot in arrow[1:-1] for edge in (-_HEIGHT // 2, _HEIGHT // 2)]
        lines.append(f'<path d="{" ".join([f"M{at(arrow[0], 17)}", *bends, f"L{at(arrow[-1], -19)}"])}"/>')
    for room in STANDS_ON:
        x, y = at(room).split()
        boxes.append(
            f'<rect x="{int(x) - _WIDTH // 2}" y="{int(y) - _HEIGHT // 2}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
            f'<text x="{x}" y="{int(y) + 5}">{title(room)}</text>'
        )
    width, height = round(max(place.values()) - left + _WIDTH / 2 + 8), top * _FLOOR + _HEIGHT + 16
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="14" text-anchor="middle">',
            "<title>The rooms of chatterbox_cached; an arrow leads to what a room may use</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>',
            '<g fill="none" stroke="#6b7280" stroke-width="1.3" marker-end="url(#tip)">',
            *lines,
            "</g>",
            '<g fill="#e8ecf7" stroke="#4a5a8a">',
            *(box.replace("<text", '<text fill="#1a2238" stroke="none"') for box in boxes),
            "</g>",
            "</svg>",
            "",
        ]
    )


def title(room: str) -> str:
    """What a room is called: its path from the package on."""
    return room.replace(".", "/") or "__init__"


def table() -> str:
    """The rooms in words, those first that stand highest."""
    heights = floors(STANDS_ON)
    lines = ["| Room | What it is for | Its modules | Stands on |", "|---|---|---|---|"]
    for room in sorted(STANDS_ON, key=lambda room: -heights[room]):
        below = ", ".join(f"`{title(lower)}`" for lower in STANDS_ON[room]) or "nothing"
        lines.append(f"| `{title(room)}` | {_purpose(room)} | {', '.join(_modules(room))} | {below} |")
    return "\n".join([*lines, ""])


def _purpose(room: str) -> str:
    folder = PACKAGE.joinpath(*room.split("."))
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.splitlines()[0].replace("``", "`")


def _modules(room: str) -> list[str]:
    """The modules and folders that a room has inside, without those that are rooms themselves."""
    folder = PACKAGE.joinpath(*room.split("."))
    if not room or not folder.is_dir():
        return []
    inside = {file.relative_to(folder).parts[0] for file in folder.rglob("*.py") if file.stem != "__init__"}
    rooms = {each.rpartition(".")[2] for each in STANDS_ON if each.rpartition(".")[0] == room}
    return [f"{name.removesuffix('.py')}{'/' * (not name.endswith('.py'))}" for name in sorted(inside - rooms)]


def _with_table(page: str) -> str:
    """The page with the list of rooms as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    assert mark, f"{PAGE} has lost its marks"
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def made() -> dict[Path, str]:
    """What belongs into which file."""
    return {FIGURE: figure(), PAGE: _with_table(PAGE.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    for file, text in made().items():
        file.write_text(text, encoding="utf-8")
