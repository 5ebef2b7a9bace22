"""What several verbs share: their options, the cache that they look at, and how figures are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..library import voices
from ..library.voices import Folder
from ..settings import Settings, with_user_folder


def named(folder: str) -> Path:
    """A folder as the value of an option."""
    if not folder:
        raise typer.BadParameter("it is empty; give a folder")
    return Path(folder)


CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir", metavar="FOLDER", parser=named, help="The cache folder, where it is not the usual one."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def settings_for(cache_dir: Path | None) -> Settings:
    """The settings that a program on this machine would have, with this folder.

    Raises SettingsError for an impossible setting, in a variable for instance.
    """
    return with_user_folder({"cache_dir": cache_dir})


def settings_to_fill(folder: Path) -> Settings:
    """The same for a folder that is to hold all voices that are asked for, whatever is found elsewhere."""
    return settings_for(folder)._replace(read_only_dirs=())


@contextmanager
def opened(cache_dir: Path | None) -> Iterator[Folder]:
    """The cache folder, for as long as it is looked at; see library.voices."""
    with voices.opened(settings_for(cache_dir), to_stderr) as folder:
        yield folder


def to_stderr(sentence: str) -> None:
    """Say something that is no part of what was asked for."""
    print(sentence, file=sys.stderr)


def moved_aside(error: Exception) -> None:
    """Say that the index had to be begun anew, whatever was to be done with the folder."""
    to_stderr(voices.moved_aside(error))


def print_json(data: Any) -> None:
    """Print ``data`` for a program to read, escaped where stdout can't show it as it is."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2, default=str)
    print(text)


def print_table(console: Any, *parts: Any) -> None:
    """Print what rich has laid out, without the blanks that it ends lines with."""
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
