"""``chatterbox-cached lift [VOICE]``: let machines keep again what was forgotten on all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import NotCachedError
from ...figures import moment
from ...library import everywhere
from ..common import CacheDir, Json, print_json, settings_for


def command(
    voice: Annotated[
        str | None, typer.Argument(metavar="VOICE", help="Its audio file, or its whole digest.", show_default=False)
    ] = None,
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Let machines keep a voice again that was forgotten on all of them, by `rm --everywhere` or a program.

    Without VOICE it lists what is forgotten: the digests, since when, and in which stores.

    Example: chatterbox-cached lift anna.wav
    """
    if voice is None:
        _list(cache_dir, json)
        return
    digest = everywhere.digest_of(voice)
    with everywhere.opened(settings_for(cache_dir)) as fleet:
        if not fleet.lift(digest):
            stores = " or ".join(tier.name for tier in fleet.tiers)
            raise NotCachedError(f"{voice} is not forgotten in {stores}. `chatterbox-cached lift` lists what is.")
    if json:
        print_json({"digest": digest})
    else:
        print(f"Machines may keep {digest} again.")


def _list(cache_dir: Path | None, as_json: bool) -> None:
    with everywhere.opened(settings_for(cache_dir)) as fleet:
        stores = fleet.forgotten()
    rows = [_row(digest, stores) for digest in dict.fromkeys(digest for its in stores.values() for digest in its)]
    rows.sort(key=lambda row: float(row["since"]))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['digest']}\n  since {moment(row['since'])} in {' and '.join(row['stores'])}")
    if not rows:
        print(f"Nothing is forgotten in {' or '.join(stores)}.")


def _row(digest: str, stores: dict[str, dict[str, float]]) -> dict[str, Any]:
    its = {store: since[digest] for store, since in stores.items() if digest in since}
    return {"digest": digest, "since": min(its.values()), "stores": list(its)}
