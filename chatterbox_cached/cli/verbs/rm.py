"""``chatterbox-cached rm VOICE...``: drop single voices."""

from __future__ import annotations

from typing import Annotated

import typer

from ...library.voices import find
from ..common import CacheDir, Json, opened, print_json
from ..figures import counted, size

VoiceNames = Annotated[
    list[str],
    typer.Argument(metavar="VOICE", help="Audio files, names or paths from ls, or the beginnings of digests."),
]


def command(voice: VoiceNames, cache_dir: CacheDir = None, json: Json = False) -> None:
    """Remove voices with everything that was made of them. The audio files stay.

    If one of them is not known, none is removed. A program that is running keeps what it has in memory.

    Example: chatterbox-cached rm anna.wav 3f9a2c
    """
    with opened(cache_dir) as folder:
        found = {known.digest: known for known in [find(folder, name) for name in voice]}
        folder.remove(found.values())
    if json:
        print_json(
            [
                {"digest": gone.digest, "name": gone.label, "entries": len(gone.entries), "bytes": gone.nbytes}
                for gone in found.values()
            ]
        )
        return
    for gone in found.values():
        print(f"Removed {gone.label}: {counted(len(gone.entries), 'entry', 'entries')}, {size(gone.nbytes)}.")
