"""``chatterbox-cached clear``: drop everything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ...errors import ChatterboxCachedError
from ...figures import counted, size
from ...library import everywhere
from ..app import AMISS, INTERRUPTED
from ..common import CacheDir, Json, opened, print_json, settings_for

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Shared = Annotated[
    bool, typer.Option("--shared", help="Instead of this machine's, those of this namespace in the shared stores.")
]


def command(cache_dir: CacheDir = None, shared: Shared = False, yes: Yes = False, json: Json = False) -> None:
    """Remove all voices of this machine. The counts of hits and misses stay.

    It asks first; where there is no terminal to answer at, it needs --yes. A program that is running keeps what it has
    in memory.

    With --shared, what is in the shared stores is removed instead, and what machines have in their own folders stays.
    What was forgotten with `rm --everywhere` stays forgotten.

    Example: chatterbox-cached clear --yes
    """
    entries, nbytes = _clear_shared(cache_dir, yes) if shared else _clear_here(cache_dir, yes)
    if json:
        print_json({"entries": entries, "bytes": nbytes})
    else:
        print(f"Removed {_what(entries, nbytes)}.")


def _clear_here(cache_dir: Path | None, yes: bool) -> tuple[int, int]:
    with opened(cache_dir) as folder:
        entries = folder.store.listing()
        nbytes = sum(entry.nbytes for entry in entries)
        if entries and not yes:
            _ask(f"Remove {_what(len(entries), nbytes)} from {folder.root}?")
        folder.clear()
    return len(entries), nbytes


def _clear_shared(cache_dir: Path | None, yes: bool) -> tuple[int, int]:
    settings = settings_for(cache_dir)
    with everywhere.opened(settings) as fleet:
        stores = fleet.sizes()
        sizes = [nbytes for its in stores.values() for nbytes in its.values()]
        if sizes and not yes:
            where = f"namespace {settings.namespace} of {' and '.join(stores)}"
            _ask(f"Remove {_what(len(sizes), sum(sizes))} from {where}, for all machines?")
        fleet.clear()
    return len(sizes), sum(sizes)


def _what(entries: int, nbytes: int) -> str:
    return f"{counted(entries, 'entry', 'entries')}, {size(nbytes)}"


def _ask(question: str) -> None:
    """End here unless the answer is yes."""
    if sys.stdin is None or not sys.stdin.isatty():  # None where it was closed
        raise ChatterboxCachedError(
            "Nothing was removed, since there is no terminal to ask at. Add --yes to remove it all."
        )
    try:
        if typer.confirm(question, err=True):
            return
        code = AMISS
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        print(file=sys.stderr)
        code = INTERRUPTED
    print("Nothing was removed.", file=sys.stderr)
    raise typer.Exit(code)
