"""``chatterbox-cached check``: find and repair damage in the cache folder."""

from __future__ import annotations

from typing import Annotated

import typer

from ...figures import counted
from ...tiers.disk.repair import CheckReport
from ..app import AMISS
from ..common import CacheDir, Json, opened, print_json

Look = Annotated[bool, typer.Option("--look", help="Only look; repair nothing.")]


def command(cache_dir: CacheDir = None, look: Look = False, json: Json = False) -> None:
    """Read every entry, and repair the cache folder: what is damaged or left over is removed.

    Ends with 1 if something was found and not repaired.

    Example: chatterbox-cached check --look
    """
    with opened(cache_dir) as folder:
        report = folder.check(fix=not look)
    if json:
        print_json({**report._asdict(), "sound": report.sound, "repaired": not (look or report.sound)})
    else:
        _print(report, look)
    if report.error is not None or (look and not report.sound):
        raise typer.Exit(AMISS)


def _print(report: CheckReport, look: bool) -> None:
    found = [
        counted(report.damaged, "damaged entry", "damaged entries"),
        counted(report.missing, "entry without its file", "entries without their files"),
        counted(report.orphans, "file that belongs to no entry", "files that belong to no entry"),
        counted(report.empty_folders, "empty folder", "empty folders"),
        counted(report.database, "fault of the index", "faults of the index"),
        counted(report.account, "malformed account of names and counts", ""),
    ]
    print(f"{counted(report.entries, 'entry is', 'entries are')} whole.")
    for line in [line for line in found if not line.startswith("0 ")]:
        print(f"  {'Found' if look else 'Repaired'}: {line}")
    if report.error is not None:
        print(f"Not finished: {report.error}. Run `chatterbox-cached check` to repair it.")
    elif look and not report.sound:
        print("Nothing was changed. Run `chatterbox-cached check` to repair it.")
