"""``chatterbox-cached warm``: voices prepared before they are needed."""

from __future__ import annotations

import sys
from typing import Any

import typer

from ..warming import FAILED, PREPARED, THERE_ALREADY, Outcome, warm
from .app import AMISS, INTERRUPTED
from .common import CacheDir, Json, print_json, settings_for
from .models import Checkpoint, Device, Model, ModelOption, load, quietly
from .preparing import AudioFiles, cache_for, files_of
from .progress import shown


def command(
    voices: AudioFiles,
    model: ModelOption = Model.english,
    device: Device = None,
    checkpoint: Checkpoint = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Prepare voices before they are needed, as the model would at its first use of each.

    What is there already is passed over. A file that can't be prepared is listed at the end, and the others are
    prepared all the same. Ctrl-C keeps what is done. The exaggeration does not matter: a voice serves all of them.

    Example: chatterbox-cached warm voices/ --model multilingual
    """
    files = files_of(voices)
    cache = cache_for(settings_for(cache_dir))
    outcomes: list[Outcome] = []
    interrupted = False
    with quietly():
        loaded = load(model, device, checkpoint)
        try:
            for file in shown(files, "Preparing", len(files)):
                outcomes.append(warm(cache, loaded, file))  # noqa: PERF401 - these stay after an interruption
        except KeyboardInterrupt:
            interrupted = True
        finally:
            cache.close()
    about = {"folder": str(cache.settings.cache_dir), "model": model.value, "device": str(loaded.device)}
    _report(outcomes, len(files), about, interrupted, as_json)


def _report(outcomes: list[Outcome], total: int, about: dict[str, Any], interrupted: bool, as_json: bool) -> None:
    prepared, already = (
        [str(one.path) for one in outcomes if one.became == each] for each in (PREPARED, THERE_ALREADY)
    )
    failed = {str(one.path): one.why for one in outcomes if one.became == FAILED}
    if as_json:
        found = {"prepared": prepared, "there_already": already, "failed": failed, "not_reached": total - len(outcomes)}
        print_json({**about, **found})
    else:
        counts = f"{len(prepared)} prepared, {len(already)} there already, {len(failed)} failed"
        print(f"{counts}: {about['model']} on {about['device']}, in {about['folder']}")
    for path, why in failed.items():
        print(f"failed: {path}: {why}", file=sys.stderr)
    if interrupted:
        kept = len(outcomes) - len(failed)
        print(f"chatterbox-cached: interrupted; {kept} of {total} voices are kept.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise typer.Exit(AMISS)
