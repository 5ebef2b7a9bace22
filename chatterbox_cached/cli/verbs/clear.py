"""``chatterbox-cached clear``: drop everything."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ...errors import ChatterboxCachedError
from ..app import AMISS, INTERRUPTED
from ..common import CacheDir, Json, opened, print_json
from ..figures import counted, size

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def command(cache_dir: CacheDir = None, yes: Yes = False, json: Json = False) -> None:
    """Remove all voices. The counts of hits and misses stay.

    It asks first; without a terminal to answer in, it needs --yes. A program that is running keeps what it has in
    memory.

    Example: chatterbox-cached clear --yes
    """
    with opened(cache_dir) as folder:
        entries = folder.store.listing()
        nbytes = sum(entry.nbytes for entry in entries)
        what = f"{counted(len(entries), 'entry', 'entries')}, {size(nbytes)}"
        if entries and not yes:
            _ask(f"Remove {what} from {folder.root}?")
        folder.clear()
    if json:
        print_json({"entries": len(entries), "bytes": nbytes})
    else:
        print(f"Removed {what}.")


def _ask(question: str) -> None:
    """End here unless the answer is yes."""
    if not sys.stdin.isatty():
        raise ChatterboxCachedError("Nothing was removed, since nobody can be asked here. Add --yes to remove it all.")
    try:
        if typer.confirm(question, err=True):
            return
        code = AMISS
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        print(file=sys.stderr)
        code = INTERRUPTED
    print("Nothing was removed.", file=sys.stderr)
    raise typer.Exit(code)
