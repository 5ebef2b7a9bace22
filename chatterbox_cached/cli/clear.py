"""``chatterbox-cached clear``: drop everything."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import account
from ..errors import ChatterboxCachedError
from .app import AMISS
from .common import CacheDir, Json, print_json
from .figures import counted, size
from .voices import opened

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def command(cache_dir: CacheDir = None, yes: Yes = False, json: Json = False) -> None:
    """Remove all voices. The counts of hits and misses stay.

    It asks first; where nobody can answer, it needs --yes. A program that is running keeps what it has in memory.

    Example: chatterbox-cached clear --yes
    """
    with opened(cache_dir) as folder:
        entries = folder.store.listing()
        nbytes = sum(entry.nbytes for entry in entries)
        what = f"{counted(len(entries), 'entry', 'entries')}, {size(nbytes)}"
        if entries and not (yes or _confirmed(f"Remove {what} from {folder.root}?")):
            print("Nothing was removed.")
            raise typer.Exit(AMISS)
        folder.store.stores.clear()
        account.clear(folder.root, trusted=folder.trusted)
    if json:
        print_json({"entries": len(entries), "bytes": nbytes})
    else:
        print(f"Removed {what}.")


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ChatterboxCachedError("Nothing was removed, since nobody can be asked here. Add --yes to remove it all.")
    return typer.confirm(question, err=True)
