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
from ..library.warming import Meant, audio_files, why_passed_over
from ..settings import Settings
from .common import to_stderr

AudioFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="VOICE",
        show_default=False,
        help="Audio files, folders of audio, or .txt files with the path of one that is there on each line.",
    ),
]
Lists = Annotated[
    list[Path],
    typer.Option(
        "--list", metavar="FILE", show_default=False, help="A text with the path of a file or folder on each line."
    ),
]


def files_of(given: Sequence[Path], lists: Sequence[Path]) -> Meant:
    """The files that are meant, and what else was given. Raises ChatterboxCachedError where there are none."""
    if not given and not lists:
        raise typer.BadParameter("give a VOICE, or a --list of some")
    meant = audio_files(given, lists)
    if not meant.files:
        others = "".join(f": {path} is {why_passed_over(path)}" for path in meant.passed_over[:1])
        raise ChatterboxCachedError(
            f"There is no audio in what was given{others}. Give audio files, folders with some, or --list FILE."
        )
    if not any(os.path.exists(file) for file in meant.files):
        named = [path for path in given if not os.path.exists(path)] or meant.files[:1]
        raise ChatterboxCachedError(f"There is no {' and no '.join(map(str, named))}. Look at the path.")
    for path in meant.passed_over:
        to_stderr(f"passed over: {path}: {why_passed_over(path)}")
    return meant


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
