"""``chatterbox-cached ls``: a row per voice."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

import typer

from ...figures import counted, length, size, span
from ...library.voices import Folder, Voice, plain
from ..common import CacheDir, Json, opened, print_json, print_table
from ..shared_listing import list_shared

_UNKNOWN = "-"
_GAP = 2
_NARROW, _MODELS_WIDTH = 24, 12
Shared = Annotated[bool, typer.Option("--shared", help="Instead, the voices in the shared stores.")]


def command(cache_dir: CacheDir = None, shared: Shared = False, json: Json = False) -> None:
    """List the voices that are cached, the one used last first.

    A voice is shown by the name and path it was last seen under, or else by the beginning of its digest. What a program
    has given to the encoders itself is shown as a waveform, since it is not known of which file it is. Age is the time
    since it was last stored. Hits and seconds saved are those of all programs that used this folder. Voices in folders
    that are only read are listed too.

    With --shared, the voices of this namespace are listed that are in the shared stores, by name where it is known
    here, and else by their whole digests.

    Example: chatterbox-cached ls --json | jq '.voices[].name'
    """
    if shared:
        list_shared(cache_dir, json)
        return
    with opened(cache_dir) as folder:
        rows = [_row(folder, voice) for voice in folder.voices()]
        also = [str(path) for path in folder.read_only]
    if json:
        print_json({"folder": str(folder.root), "read_only_dirs": also, "voices": rows})
    elif rows:
        _print(rows)
    else:
        print(f"No voices are cached in {' or '.join([str(folder.root), *also])}.")


def _row(folder: Folder, voice: Voice) -> dict[str, Any]:
    made = [folder.made(entry) for entry in voice.entries]
    return {
        **voice.facts(),
        "models": sorted({each.model for each in made}),
        "waveform": any(each.is_of_waveform(voice.digest) for each in made),
        "entries": len(voice.entries),
        "stored": voice.stored,
        "only_read_in": sorted({str(entry.only_read_in) for entry in voice.entries if entry.only_read_in}),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, now = Console(highlight=False), time.time()
    figures = [_figures(row, now) for row in rows]
    heads = ("Length", "Models", "Size", "Age", "Hits", "Saved")
    widths = [max(len(head), *map(len, cells)) for head, cells in zip(heads, zip(*figures, strict=True), strict=True)]
    room = console.width - sum(widths) - _GAP * len(heads)
    if room < min(_NARROW, max(len(row["path"] or row["digest"][:12]) for row in rows)):  # two models on two lines
        room += max(0, widths[1] - _MODELS_WIDTH)
        widths[1] = min(widths[1], _MODELS_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("Voice", no_wrap=True)
    for head, width in zip(heads, widths, strict=True):
        left = head == "Models"
        table.add_column(head, justify="left" if left else "right", width=width, no_wrap=not left)
    for row, cells in zip(rows, figures, strict=True):
        table.add_row(_voice(row, max(room, 8)), *cells)
    print_table(console, table)
    print(_sum(rows))
    for path, number in sorted(Counter(path for row in rows for path in row["only_read_in"]).items()):
        print(f"{counted(number, 'voice', 'voices')} in {path}, which is only read")


def _figures(row: dict[str, Any], now: float) -> tuple[str, ...]:
    return (
        _UNKNOWN if row["duration"] is None else length(row["duration"]),
        ", ".join(row["models"]),
        size(row["bytes"]),
        span(now - row["stored"]),
        _UNKNOWN if row["hits"] is None else f"{row['hits']:,}",
        _UNKNOWN if row["saved_seconds"] is None else span(row["saved_seconds"]),
    )


def _voice(row: dict[str, Any], room: int) -> Any:
    """The path with the name at its end, cut at the front where it is too long; the digest where neither is known."""
    from rich.text import Text

    name = plain(row["name"] or (f"waveform {row['digest'][:12]}" if row["waveform"] else row["digest"][:12]))
    path = plain(row["path"] or name)
    folder = path[: -len(name)] if path.endswith(name) else ""
    shown = Text(folder).append(name, "bold" if row["name"] else "default")
    while shown.cell_len > room:
        shown = Text("…").append_text(shown[max(2, shown.cell_len - room + 1) :])
    return shown


def _sum(rows: list[dict[str, Any]]) -> str:
    parts = [
        f"{counted(len(rows), 'voice', 'voices')} in {counted(sum(r['entries'] for r in rows), 'entry', 'entries')}",
        size(sum(row["bytes"] for row in rows)),
        counted(sum(row["hits"] or 0 for row in rows), "hit", "hits"),
        f"{span(sum(row['saved_seconds'] or 0.0 for row in rows))} saved",
    ]
    return ", ".join(parts)
