"""Scenes: functions that are run in a process of their own, where Chatterbox is the stand-in.

torch takes seconds to load, so one process loads it and everything else once, and is forked for every scene. A scene
that hangs is ended, and what each of its threads was at is shown.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 60


class Stage:
    """The process that is forked for every scene; ``stage(scene, *args)`` gives what the scene returns, by JSON."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(Path(__file__).with_name("standin")), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.stage"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, scene: Callable[..., Any], *args: Any, folder: Path, seconds: float = SECONDS) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        files = str(folder / "result"), str(folder / "said")
        request = scene.__module__, scene.__name__, [str(folder), *args], *files, seconds
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ended = self._process.stdout.readline()
        assert ended == "0\n", f"the scene ended with {ended}\n{(folder / 'said').read_text()}"
        return json.loads((folder / "result").read_text())

    def close(self) -> None:
        self._process.communicate()


def _play(module: str, name: str, args: list[Any], result: str, said: str, seconds: float) -> None:
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.enable(output)  # for a child that hangs and is aborted
    faulthandler.dump_traceback_later(seconds, exit=True, file=output)
    scene = getattr(importlib.import_module(module), name)
    Path(result).write_text(json.dumps(scene(Path(args[0]), *args[1:])))


def _serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 1
            try:
                _play(*json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    import chatterbox.tts  # noqa: F401
    import xxhash  # noqa: F401

    import chatterbox_cached.tiers.disk.files  # noqa: F401

    _serve()
