"""``chatterbox-cached report``: what the cache saved, as a page for a mail or a build."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ... import __version__
from ...errors import ChatterboxCachedError
from ...figures import duration, size
from ...library import savings
from ..common import CacheDir, print_json, settings_for, to_stderr
from ..report.document import GENERATOR, document

_USUAL, _STDOUT = Path("report.html"), Path("-")
_LOOKED_AT = 1000  # characters at the beginning of a file that is to be replaced
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to, - for stdout. [default: report.html]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON, and write no file.")]


def command(output: Output = None, cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Write what the cache saved as one HTML file: seconds saved by day and voice, hits by tier, why calls were no
    hits and what would help, the tiers with their state, and the settings.

    It needs no network and runs no scripts. It shows names of voices, but no audio, no paths of audio, no passwords and
    no keys. Stores that machines share are asked whether they answer. An earlier report of that name is replaced, and
    no other file.

    Example: chatterbox-cached report -o report.html
    """
    if as_json and output is not None:
        raise typer.BadParameter("--json prints to stdout, so it takes no --output")
    file = output or _USUAL
    if not as_json and file != _STDOUT:
        _refuse_impossible(file)
    found = savings.read(settings_for(cache_dir), to_stderr, ("cache_dir",) if cache_dir else ())
    if as_json:
        print_json(found.figures())
    elif file == _STDOUT:
        print(document(found, __version__), end="")
    else:
        _write(file, document(found, __version__))
        print(f"{file}: {duration(found.saved_seconds)} saved, {size(file.stat().st_size)}")


def _refuse_impossible(file: Path) -> None:
    """Raise what keeps this from being written, before anything else is done."""
    if not file.parent.is_dir():
        raise ChatterboxCachedError(f"There is no folder {file.parent}. Make it first, or give another.")
    if file.exists() and not (file.is_file() and _is_a_report(file)):
        raise ChatterboxCachedError(
            f"{file} is there and is not such a file, so it was left alone. Give another name, or remove it first."
        )


def _is_a_report(file: Path) -> bool:
    with file.open(encoding="ascii", errors="replace") as opened:
        return GENERATOR in opened.read(_LOOKED_AT)


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="ascii")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
