"""``chatterbox-cached rm VOICE...``: drop single voices."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import NotCachedError
from ...figures import counted, size
from ...library import everywhere
from ...library.voices import Folder, Voice, find, plain
from ...named.library import Library
from ..common import CacheDir, Json, opened, print_json, settings_for, to_stderr

VoiceNames = Annotated[
    list[str],
    typer.Argument(metavar="VOICE", help="Audio files, names or paths from ls, or the beginnings of digests."),
]
Everywhere = Annotated[
    bool, typer.Option("--everywhere", help="Forget them on all machines of the shared stores, until `lift`.")
]


def command(
    voice: VoiceNames, cache_dir: CacheDir = None, on_all_machines: Everywhere = False, json: Json = False
) -> None:
    """Remove voices with everything that was made of them. The audio files stay.

    If one of them is not known, none is removed. A program that is running keeps what it has in memory.

    With --everywhere, no machine may keep them from then on: each drops them within seconds of its next call, from
    memory too. Such a voice need not be known here; give its audio file, or its whole digest.

    Example: chatterbox-cached rm anna.wav 3f9a2c
    """
    rows = _forget(voice, cache_dir) if on_all_machines else _remove(voice, cache_dir)
    if json:
        print_json(rows)
        return
    for row in rows:
        print(f"Removed {row['name']}: {counted(row['entries'], 'entry', 'entries')}, {size(row['bytes'])}.")
        if on_all_machines:
            shared = counted(row["shared_entries"], "entry was", "entries were")
            print(f"No machine may keep it any more; {shared} dropped from the shared stores.")


def _remove(names: list[str], cache_dir: Path | None) -> list[dict[str, Any]]:
    with opened(cache_dir) as folder:
        found = {known.digest: known for known in [find(folder, name) for name in names]}
        folder.remove(found.values())
    _say_what_has_names(found.values(), Library(settings_for(cache_dir)))
    if settings_for(cache_dir).shared:
        to_stderr(
            "Other machines and the shared stores may still have it. With --everywhere it is forgotten there too."
        )
    return [_row(gone) for gone in found.values()]


def _say_what_has_names(gone: Collection[Voice], library: Library) -> None:
    digests = {voice.digest for voice in gone}
    for named in library.names().voices:
        if named.digest in digests:
            name = plain(named.name)
            to_stderr(
                f"It is kept for good under the name {name!r} still. To drop that: chatterbox-cached voices rm {name!r}"
            )


def _forget(names: list[str], cache_dir: Path | None) -> list[dict[str, Any]]:
    with everywhere.opened(settings_for(cache_dir)) as fleet, opened(cache_dir) as folder:
        found = {known.digest: known for known in [_named(folder, name) for name in names]}
        # First, so that where a store can't be reached, all is as it was and the same command can be given again.
        dropped = {digest: fleet.forget(digest) for digest in found}
        folder.remove(found.values())
        for voice in Library(settings_for(cache_dir)).forget(frozenset(found)):
            to_stderr(f"Its name {plain(voice.name)!r} was taken away, with what was kept under it.")
    return [{**_row(gone), "shared_entries": dropped[gone.digest]} for gone in found.values()]


def _named(folder: Folder, name: str) -> Voice:
    """The voice that the user names, which this machine need not have."""
    try:
        return find(folder, name)
    except NotCachedError as unknown:
        try:
            return Voice(everywhere.digest_of(name), (), None)
        except NotCachedError:
            raise unknown from None


def _row(gone: Voice) -> dict[str, Any]:
    return {"digest": gone.digest, "name": gone.label, "entries": len(gone.entries), "bytes": gone.nbytes}
