"""``ls --shared``: a row per voice in the stores that machines share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..figures import counted, size
from ..library import everywhere
from ..library.voices import plain
from .common import opened, print_json, print_table, settings_for


def list_shared(cache_dir: Path | None, as_json: bool) -> None:
    """Print what is in the stores, of this namespace. Raises SharedStoreError where one can't be reached."""
    settings = settings_for(cache_dir)
    with everywhere.opened(settings) as fleet:
        sizes = fleet.sizes()
    with opened(cache_dir) as folder:
        names = {digest: known.name for digest, known in folder.account.voices.items() if known.name}
    stores = {store: [_row(voice, names) for voice in everywhere.voices_of(its)] for store, its in sizes.items()}
    if as_json:
        found = [{"store": store, "voices": rows} for store, rows in stores.items()]
        print_json({"namespace": settings.namespace, "stores": found})
        return
    for store, rows in stores.items():
        entries, nbytes = sum(row["entries"] for row in rows), sum(row["bytes"] for row in rows)
        voices = f"{counted(len(rows), 'voice', 'voices')} in {counted(entries, 'entry', 'entries')}"
        print(f"{store}, namespace {settings.namespace}: {voices}, {size(nbytes)}")
        if rows:
            _print(rows)


def _row(voice: everywhere.SharedVoice, names: dict[str, str]) -> dict[str, Any]:
    return {
        "digest": voice.digest,
        "name": names.get(voice.digest),
        "entries": voice.entries,
        "bytes": voice.nbytes,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")  # a whole digest is 64 wide
    table.add_column("Voice", no_wrap=True, overflow="ellipsis")
    table.add_column("Entries", justify="right", no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    for row in rows:
        name = plain(row["name"]) if row["name"] else row["digest"]
        table.add_row(Text(name), f"{row['entries']:,}", size(row["bytes"]))
    print_table(Console(highlight=False), table)
