"""``chatterbox-cached verify``: what is kept of voices, compared with what the model makes of them now."""

from __future__ import annotations

import sys
import warnings

import typer

from ..errors import CacheWarning
from .app import AMISS
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
    """Prepare voices again and compare them, bit for bit, with what is kept of them.

    It needs the audio, of which nothing is kept. What differs is replaced by what the model makes now.

    Example: chatterbox-cached verify voices/ --model multilingual
    """
    files = files_of(voices)
    cache = cache_for(settings_for(cache_dir))
    same, different, not_compared = list[str](), dict[str, tuple[str, ...]](), list[str]()
    with quietly():
        warnings.simplefilter("ignore", CacheWarning)  # what differs is listed below
        loaded = load(model, device, checkpoint)
        for file in shown(files, "Comparing", len(files)):
            found = cache.verify(loaded, [file])
            same.extend(found.same)
            different.update(found.different)
            not_compared.extend(found.not_compared)
        cache.close()
    if as_json:
        print_json({"model": model.value, "same": same, "different": different, "not_compared": not_compared})
    else:
        print(f"{len(same)} the same, {len(different)} different, {len(not_compared)} not compared: {model.value}")
    for path, fields in different.items():
        print(f"different, and replaced: {path}: {', '.join(fields)}", file=sys.stderr)
    for path in not_compared:
        print(f"not compared: {path}: nothing of {model.value}'s is kept of it, or it can't be read", file=sys.stderr)
    if different or not_compared:
        raise typer.Exit(AMISS)
