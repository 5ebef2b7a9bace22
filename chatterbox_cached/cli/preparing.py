"""What the verbs that prepare voices share: which files, and a cache that keeps what is made of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..cache import ConditionalCache
from ..errors import ChatterboxCachedError
from ..library.exchange import open_folder, open_to_write
from ..library.warming import audio_files
from ..settings import Settings

AudioFiles = Annotated[
    list[Path],
    typer.Argument(metavar="VOICE", help="Audio files, folders of audio, or .txt files with a path on each line."),
]


def files_of(given: Sequence[Path]) -> list[Path]:
    """The files that are meant. Raises ChatterboxCachedError where there are none."""
    files = audio_files(given)
    if not files:
        raise ChatterboxCachedError("There is no audio in what was given. Give audio files, or folders with some.")
    if not any(os.path.exists(file) for file in files):
        named = [path for path in given if not os.path.exists(path)] or files[:1]
        raise ChatterboxCachedError(f"There is no {' and no '.join(map(str, named))}. Look at the path.")
    return files


def cache_for(settings: Settings, *, to_write: bool) -> ConditionalCache:
    """A cache on disk in a folder that can be used, or even written to.

    Raises what keeps it from being used, before a model is loaded.
    """
    cache = ConditionalCache.from_settings(settings._replace(auto_save=True, verify=0.0))
    if cache.off:
        raise ChatterboxCachedError("The cache is switched off. Unset CHATTERBOX_CACHED_DISABLE.")
    tier = (open_to_write if to_write else open_folder)(settings)
    tier.open()
    tier.close()
    return cache
