"""One process that has loaded Chatterbox and built a model, and never used the cache. Each part runs in a fork of it.

So no part sees what another has left in memory, and the first hit of a new process can be measured in a new process
that has not spent half a minute on importing.
"""

from __future__ import annotations

import compileall
import gc
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chatterbox_cached
from chatterbox_cached.demo import rehearsal

CLIP_SECONDS = (6, 10, 30, 120)


@dataclass(frozen=True)
class Stage:
    """``model``: a ChatterboxTTS with encoders of full size. ``clips``: reference audio by its length in seconds."""

    model: Any
    folder: Path
    clips: dict[int, Path]
    quick: bool

    @property
    def compared(self) -> dict[int, Path]:
        """The clips that calls are compared with."""
        return {10: self.clips[10]} if self.quick else self.clips

    def times(self, full: int, quick: int) -> int:
        """How often to do something."""
        return quick if self.quick else full

    def new_folder(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def clip(self, name: str, seed: int, seconds: float = 10) -> Path:
        """One more voice."""
        return _settled(rehearsal.reference_clip(self.folder / f"{name}-{seed}.wav", seconds=seconds, seed=seed))


def build(folder: Path, *, quick: bool) -> Stage:
    """Load, build and warm up: the first preparation ever compiles what librosa needs."""
    import torch

    # As installing it does: where Python is told to write no bytecode, each process would do it anew.
    compileall.compile_dir(Path(chatterbox_cached.__file__).parent, quiet=1)
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    model = rehearsal.english(layers=2, max_new_tokens=2)
    clips = {
        seconds: _settled(rehearsal.reference_clip(folder / f"{seconds}s.wav", seconds=seconds))
        for seconds in CLIP_SECONDS
    }
    for seconds in (6, 10):
        model.prepare_conditionals(clips[seconds])
    model.conds = None
    gc.collect()
    gc.freeze()
    return Stage(model, folder, clips, quick)


def _settled(clip: Path) -> Path:
    """With a time of last change in the past: a file that was written just now is read again at the next call."""
    os.utime(clip, (1, 1))
    return clip


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """What ``function(*args)`` returns in a fork of this process; it must be what JSON can hold."""
    return begun_in_child(function, *args)()


def begun_in_child(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """Begin that, and give what waits for it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as out:
                json.dump(function(*args), out)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)

    def given() -> Any:
        with os.fdopen(reading) as into:
            said = into.read()
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError(f"{function.__module__}.{function.__name__} failed")
        return json.loads(said)

    return given
