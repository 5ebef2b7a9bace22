"""A process that has loaded what takes long to load, and is forked for each thing to do.

PyTorch takes 2 s to load and Chatterbox 5 more, which a test that starts a new Python pays each time. A fork of this
process has both and is a process of its own all the same: with its own environment, folder, files and end. Chatterbox
itself is forgotten again, so that a fork imports it, or what a path has in its place, as a new Python would. What is
decided before a Python begins is not the fork's: warning filters, the locale, the threads of libraries.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import importlib
import io
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.commands import REPOSITORY

# What the package, its verbs and the tests import when they need it.
LIBRARIES = (
    "asyncio", "diskcache", "filelock", "importlib.metadata", "multiprocessing.pool", "pytest", "rich.progress",
    "rich.table", "safetensors.torch", "torch", "wrapt", "xxhash",
)  # fmt: skip
CHATTERBOX = ("chatterbox.tts", "chatterbox.mtl_tts", "librosa", "soundfile")
_FORGOTTEN = ("chatterbox", "sitecustomize")


class Preloaded:
    """Such a process; ``preloaded(function, *args)`` has a fork of it call a function, and gives its exit status."""

    def __init__(self, *modules: str) -> None:
        self._files = tempfile.TemporaryDirectory()
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded", *modules],
            cwd=REPOSITORY,
            env=own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, act: Callable[..., object], *args: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps((act.__module__, act.__name__, args)) + "\n")
        self._process.stdin.flush()
        ended = self._process.stdout.readline()
        assert ended, f"the preloaded process is gone, with {self._process.wait()}"
        return int(ended)

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        input: str = "",
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """As ``subprocess.run`` with the output captured; see ``forked_command.become``."""
        from tests.support.forked_command import become

        given = list(map(str, arguments))
        stdin, *out = files = [Path(self._files.name, name) for name in ("stdin", "stdout", "stderr")]
        stdin.write_text(input)
        code = self(become, given, dict(env), str(cwd), list(map(str, files)), seconds)
        said = [file.read_text(encoding="utf-8", errors="surrogateescape") for file in out]
        return subprocess.CompletedProcess(given, code, *said)

    def close(self) -> None:
        self._process.communicate()
        self._files.cleanup()


def end(code: int) -> None:
    """End this process as Python ends: threads are waited for, exit functions run, output is written."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)


def _serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _do(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _do(module: str, name: str, args: list[Any]) -> None:
    code = 1
    try:
        getattr(importlib.import_module(module), name)(*args)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    end(code)


def in_time(seconds: float, said: int) -> None:
    """Have this process end when it hangs, after what each of its threads was at was written to the file ``said``."""
    faulthandler.enable(said)  # for a child of its own that hangs and is aborted
    faulthandler.dump_traceback_later(seconds, exit=True, file=said)


def _load(names: Sequence[str]) -> None:
    import chatterbox_cached

    inside = [name for _, name, _ in pkgutil.walk_packages(chatterbox_cached.__path__, "chatterbox_cached.")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's
        for name in (*names, *(name for name in inside if not name.endswith("__main__"))):
            importlib.import_module(name)
    # What is loaded only when a verb is parsed and run.
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        chatterbox_cached.cli.app.load("path")([], standalone_mode=False)
    for name in list(sys.modules):
        if name.partition(".")[0] in _FORGOTTEN:
            del sys.modules[name]


if __name__ == "__main__":
    _load(sys.argv[1:])
    assert threading.active_count() == 1, "a fork would have only one of these threads"
    gc.collect()
    gc.freeze()  # what a fork does not look at it does not copy
    _serve()
