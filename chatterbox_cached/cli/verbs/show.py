"""``chatterbox-cached show VOICE``: everything that is known of one voice."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from ...figures import counted, length, moment, size, span
from ...library.voices import Folder, Made, Voice, find, plain
from ...tiers.disk.stored import Stored
from ...voice import key_format
from ..common import CacheDir, Json, opened, print_json, print_table

VoiceName = Annotated[
    str, typer.Argument(metavar="VOICE", help="Its audio file, a name or path from ls, or the beginning of its digest.")
]


def command(voice: VoiceName, cache_dir: CacheDir = None, json: Json = False) -> None:
    """Show one voice: where it was seen, how it was used, and what made each of its entries.

    Example: chatterbox-cached show anna.wav
    """
    with opened(cache_dir) as folder:
        found = find(folder, voice)
        entries = [_entry(folder, entry) for entry in found.entries]
    data = {**found.facts(), "entries": entries}
    if json:
        print_json(data)
    else:
        _print(found, data)


def _entry(folder: Folder, entry: Stored) -> dict[str, Any]:
    made: Made = folder.made(entry)
    return {
        "key": entry.key,
        "model": made.model,
        "bytes": entry.nbytes,
        "stored": entry.stored,
        "prepare_seconds": made.seconds,
        "unusable": made.flaw,
        "made_by": made.by,
        "origin": made.origin,
        "elsewhere": list(made.elsewhere()),
    }


def _print(voice: Voice, data: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console, now = Console(highlight=False), time.time()
    parts = [Text(voice.label, "bold"), _grid(_of_voice(data, now))]
    for entry in data["entries"]:
        took = "" if entry["unusable"] else f", took {entry['prepare_seconds']:.1f} s"
        stored = f"stored {_when(entry['stored'], now)}"
        parts.append(Text().append(f"\n{entry['model']}", "bold").append(f"  {size(entry['bytes'])}, {stored}{took}"))
        parts.append(_grid(_of_entry(entry)))
    print_table(console, *parts)


def _of_voice(data: dict[str, Any], now: float) -> dict[str, str]:
    return {
        "last seen": data["path"] or "",
        "length": "" if data["duration"] is None else length(data["duration"]),
        "digest": data["digest"],
        "last used": _when(data["last_used"], now),
        "hits": ""
        if data["hits"] is None
        else f"{counted(data['hits'], 'hit', 'hits')}, {span(data['saved_seconds'])} saved",
        "size": f"{size(data['bytes'])} in {counted(len(data['entries']), 'entry', 'entries')}",
    }


def _of_entry(entry: dict[str, Any]) -> dict[str, str]:
    by = {name: _text(value) for name, value in {**entry["origin"], **entry["made_by"]}.items()}
    key = key_format.parsed(entry["key"])
    apart = {"made elsewhere": "; ".join(entry["elsewhere"])}
    return {"unusable": entry["unusable"] or "", **by, **apart, "entry": key.maker if key else ""}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items() if version is not None)
    return ", ".join(str(each) for each in value if each != "") if isinstance(value, list) else str(value)


def _when(then: float, now: float) -> str:
    return f"{moment(then)} ({span(now - then)} ago)"


def _grid(lines: dict[str, str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=10, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in lines.items():
        if value:
            grid.add_row(Text(plain(name)), Text(plain(value)))
    return grid
