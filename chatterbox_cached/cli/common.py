"""What several verbs share: their options, the cache that they look at, and how figures are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..settings import Settings, with_user_folder

CacheDir = Annotated[
    Path | None,
    typer.Option("--cache-dir", metavar="FOLDER", help="The cache folder, where it is not the usual one."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def settings_for(cache_dir: Path | None) -> Settings:
    """The settings that a program on this machine would have, with this folder.

    Raises SettingsError for an impossible setting, in a variable for instance.
    """
    return with_user_folder({"cache_dir": cache_dir})


def print_json(data: Any) -> None:
    """Print ``data`` for a program to read."""
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))
