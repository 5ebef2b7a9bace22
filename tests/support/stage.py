"""Scenes: functions that are run in a process of their own, where Chatterbox is the stand-in.

Each is a fork of a preloaded process. A scene that hangs is ended, and what each of its threads was at is shown.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import scenery, tally
from tests.support.commands import REPOSITORY, STANDIN
from tests.support.preloaded import Preloaded, in_time

SECONDS = 2 * scenery.SECONDS  # so that a scene in which somebody hangs can say so itself


class Stage:
    """``stage(scene, *args)`` gives what the scene returns, by JSON, and counts what it tried."""

    def __init__(self, preloaded: Preloaded) -> None:
        self._preloaded = preloaded

    def __call__(self, scene: Callable[..., Any], *args: Any, folder: Path, seconds: float = SECONDS) -> Any:
        ended = self._preloaded(play, scene.__module__, scene.__name__, [str(folder), *args], seconds)
        assert ended == 0, f"the scene ended with {ended}\n{(folder / 'said').read_text()}"
        returned, times = json.loads((folder / "result").read_text())
        for what, count in times:
            tally.tried(what, count)
        return returned


def play(module: str, name: str, args: list[Any], seconds: float) -> None:
    """What a fork does: a scene, whose first argument is its folder, with the stand-in where Chatterbox would be."""
    folder = Path(args[0])
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    in_time(seconds, said)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (STANDIN, REPOSITORY)))
    sys.path.insert(0, str(STANDIN))
    code = 1
    try:
        importlib.import_module("chatterbox.tts")
        result = getattr(importlib.import_module(module), name)(folder, *args[1:])
        (folder / "result").write_text(json.dumps((result, tally.take())))
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)  # a scene may leave threads behind, which are not waited for
