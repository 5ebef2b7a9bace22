"""``chatterbox-cached verify``: what is kept of voices, compared with what the model makes of them now."""

from __future__ import annotations

import sys
import warnings

import typer

from ...errors import CacheWarning
from ...verification import Verification
from ..app import AMISS, INTERRUPTED
from ..common import CacheDir, Json, print_json, settings_for
from ..models import Checkpoint, Device, Model, ModelOption, heeding_ctrl_c, load, quietly
from ..preparing import AudioFiles, Lists, cache_for, files_of
from ..progress import shown


def command(
    voices: AudioFiles = [],  # noqa: B006 - typer makes a new one
    lists: Lists = [],  # noqa: B006
    model: ModelOption = Model.english,
    device: Device = None,
    checkpoint: Checkpoint = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Prepare voices again and compare them, bit for bit, with what is kept of them.

    It needs the audio, of which nothing is kept. What differs is replaced by what the model makes now. Ctrl-C
    leaves it at what is done, and says what that is.

    Example: chatterbox-cached verify voices/ --model multilingual
    """
    files = files_of(voices, lists).files
    cache = cache_for(settings_for(cache_dir), to_write=False)
    found: list[Verification] = []
    interrupted = False
    with quietly():
        warnings.simplefilter("ignore", CacheWarning)  # what differs is listed below
        loaded = load(model, device, checkpoint)
        try:
            for file in shown(files, "Comparing", len(files)):
                with heeding_ctrl_c():
                    found.append(cache.verify(loaded, [file]))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            cache.close()
    _report(found, len(files), model.value, interrupted, as_json)


def _report(found: list[Verification], total: int, model: str, interrupted: bool, as_json: bool) -> None:
    same = [path for each in found for path in each.same]
    different = {path: fields for each in found for path, fields in each.different.items()}
    not_compared = [path for each in found for path in each.not_compared]
    elsewhere = {path: phrases for each in found for path, phrases in each.elsewhere.items()}
    if as_json:
        figures = {"same": same, "different": different, "not_compared": not_compared, "elsewhere": elsewhere}
        print_json({"model": model, **figures, "not_reached": total - len(found)})
    else:
        print(f"{len(same)} the same, {len(different)} different, {len(not_compared)} not compared: {model}")
    for path, fields in different.items():
        print(f"different, and replaced: {path}: {', '.join(fields)}", file=sys.stderr)
    for path, phrases in elsewhere.items():
        print(f"made elsewhere: {path}: {'; '.join(phrases)}", file=sys.stderr)
    for path in not_compared:
        print(f"not compared: {path}: nothing of {model}'s is kept of it, or it can't be read", file=sys.stderr)
    if interrupted:
        print(f"chatterbox-cached: interrupted; {len(found)} of {total} voices were looked at.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if different or not_compared:
        raise typer.Exit(AMISS)
