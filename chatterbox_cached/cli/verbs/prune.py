"""``chatterbox-cached prune``: drop what is old, or too much."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer

from ...figures import counted, size
from ...library.voices import Voice
from ...tiers.disk.stored import Stored
from ..amounts import parse_age, parse_size
from ..common import CacheDir, Json, opened, print_json

To = Annotated[int | None, typer.Option("--to", metavar="SIZE", parser=parse_size, help="Keep no more than this.")]
OlderThan = Annotated[
    float | None,
    typer.Option("--older-than", metavar="AGE", parser=parse_age, help="Remove what was not used for so long."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]


def command(
    to: To = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Remove what is old or too much: --to 500MB, --older-than 90d (or 12h, 2w), or both.

    --older-than goes by when a voice was last used, as far as that is known, and when the entry was stored. For --to,
    what was stored longest ago goes first. Folders that are only read are left out of account.

    Example: chatterbox-cached prune --to 500MB --older-than 90d --dry-run
    """
    if to is None and older_than is None:
        raise typer.BadParameter("Say what to remove: --to SIZE, --older-than AGE, or both.")
    with opened(cache_dir) as folder:
        voices = _cut(folder.voices(), {entry.key for entry in folder.entries() if entry.only_read_in is None})
        gone = _chosen(voices, to, None if older_than is None else time.time() - older_than)
        chosen = _cut(voices, gone)
        if not dry_run:
            folder.remove(chosen)
    all_bytes, bytes_gone = sum(voice.nbytes for voice in voices), sum(voice.nbytes for voice in chosen)
    if json:
        figures = {"entries": len(gone), "bytes": bytes_gone, "bytes_left": all_bytes - bytes_gone, "dry_run": dry_run}
        print_json({**figures, "keys": sorted(gone)})
        return
    for voice in chosen if dry_run else []:
        print(f"{voice.label}: {counted(len(voice.entries), 'entry', 'entries')}, {size(voice.nbytes)}")
    said = f"{counted(len(gone), 'entry', 'entries')}, {size(bytes_gone)}; {size(all_bytes - bytes_gone)} "
    print(f"Would remove {said}would be left." if dry_run else f"Removed {said}left.")


def _chosen(voices: Iterable[Voice], to: int | None, since: float | None) -> set[str]:
    """The keys of what goes."""
    used = {entry: _used(voice, entry) for voice in voices for entry in voice.entries}
    gone = {entry.key for entry in used if since is not None and used[entry] < since}
    kept = sorted((entry for entry in used if entry.key not in gone), key=lambda entry: entry.stored)
    too_much = sum(entry.nbytes for entry in kept) - to if to is not None else 0
    for entry in kept:
        if too_much <= 0:
            break
        gone.add(entry.key)
        too_much -= entry.nbytes
    return gone


def _used(voice: Voice, entry: Stored) -> float:
    return max(entry.stored, voice.known.last_used if voice.known else 0.0)


def _cut(voices: Iterable[Voice], gone: set[str]) -> list[Voice]:
    """The voices with only these of their entries."""
    cut = [replace(voice, entries=tuple(e for e in voice.entries if e.key in gone)) for voice in voices]
    return [voice for voice in cut if voice.entries]
