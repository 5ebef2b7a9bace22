"""``chatterbox-cached stats``: what all processes did with this folder, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...accounting import account
from ...accounting.account import Account
from ...figures import moment
from ...settings import folder_of
from ...tiers.disk.stored import Stored
from ...voice import key_format
from ..common import CacheDir, Json, opened, print_json, print_table, settings_for

_Rows = list[tuple[str, str]]


def command(cache_dir: CacheDir = None, json: Json = False) -> None:
    """Show what the cache did, in all processes that used this folder, and what is in it.

    A process tells what it did within seconds, and when it ends.

    Example: chatterbox-cached stats --json
    """
    settings = settings_for(cache_dir)
    root = folder_of(settings)
    counted = account.read(root, trusted=settings.trust_cache_dir)
    with opened(cache_dir) as folder:
        nbytes = folder.store.on_disk()[1]  # with the index
        kept = {**_kept(folder.store.listing()), "bytes": nbytes, "size_limit": settings.size_limit}
        only_read = folder.store.is_read_only()
        also = {str(path): _kept(entries) for path, entries in folder.read_only.items()}
    if json:
        data = {"cache_dir": str(root), "since": counted.since, "totals": counted.totals, "kept": kept}
        print_json({**data, "read_only": only_read, "read_only_dirs": also})
    else:
        _show(root, counted, [*_holds(kept, only_read), *(row for item in also.items() for row in _also(*item))])


def _kept(entries: list[Stored]) -> dict[str, int]:
    voices = len({key_format.prefix_of(entry.key) for entry in entries})
    return {"voices": voices, "entries": len(entries), "bytes": sum(entry.nbytes for entry in entries)}


def _show(folder: Path, counted: Account, kept: _Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    for name, value in [*_did(counted), ("", ""), *kept]:
        table.add_row(Text(name, style="bold" if name and not name.startswith(" ") else ""), Text(value))
    console = Console()
    console.print(Text(str(folder)), soft_wrap=True)  # a path that is broken up can't be copied
    print_table(console, table)


def _did(counted: Account) -> _Rows:
    if counted.since is None:
        return [("nothing counted yet", "")]
    totals = _by_store(counted.totals)
    return [("counted since", moment(counted.since))] + [row for item in totals.items() for row in _rows(*item)]


def _by_store(totals: Mapping[str, Any]) -> dict[str, Any]:
    """What was counted, with what concerns shared stores by store, and only where there are any."""
    hits = totals["shared_hits_in"]
    shown = {**totals, "shared_hits": hits}
    del shown["shared_hits_in"]
    return {name: value for name, value in shown.items() if value or not name.startswith("shared_")}


def _rows(name: str, value: Any) -> _Rows:
    """One counter; one with reasons has its sum, and a row per reason."""
    label = name.replace("_", " ")
    if isinstance(value, dict):
        reasons = sorted(value.items(), key=lambda item: -item[1])
        return [(label, _number(sum(value.values())))] + [(f"  {reason}", _number(n)) for reason, n in reasons]
    return [(label, f"{value:,.1f}" if name.endswith("_seconds") else _number(value))]


def _number(n: float) -> str:
    return f"{n:,}"


def _holds(kept: dict[str, int], only_read: bool) -> _Rows:
    size = f"{kept['bytes'] / 1e6:,.1f} of {kept['size_limit'] / 1e6:,.0f} MB"
    if only_read:
        size = f"{kept['bytes'] / 1e6:,.1f} MB, only read"
    return [("voices", _number(kept["voices"])), ("entries", _number(kept["entries"])), ("on disk", size)]


def _also(folder: str, kept: dict[str, int]) -> _Rows:
    """What a folder that is only read has besides."""
    counts = [("voices", _number(kept["voices"])), ("entries", _number(kept["entries"]))]
    return [("only read", folder), *((f"  {name}", number) for name, number in counts)]
