"""What a fork of a preloaded process does to be a command: the installed one, a script, or ``python -c``."""

from __future__ import annotations

import importlib
import io
import os
import runpy
import sys
from contextlib import suppress
from typing import Any

from tests.support.commands import COMMAND, REPOSITORY
from tests.support.preloaded import in_time

_BEFORE_SITE = ("", str(REPOSITORY))  # where ``-m`` began, which is no part of a Python's own path

_READ_THE_ENVIRONMENT = ("huggingface_hub.constants",)  # as they are loaded, and never again


def become(arguments: list[str], environment: dict[str, str], folder: str, files: list[str], seconds: float) -> None:
    """Run the command in this process as in a new one; ``files`` are its stdin, stdout and stderr."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _redirect(*files)
    in_time(seconds, 2)
    program, *rest = arguments
    if program == str(COMMAND):
        sys.argv = arguments
        _find_from(os.path.dirname(program))
        importlib.import_module("chatterbox_cached.cli.app").main()
    elif rest[0] == "-c":
        sys.argv = ["-c", *rest[2:]]
        _find_from("")
        main: Any = type(sys)("__main__")
        sys.modules["__main__"] = main
        exec(compile(rest[1], "<string>", "exec"), vars(main))
    else:
        sys.argv = rest
        _find_from(os.path.dirname(os.path.abspath(rest[0])))
        runpy.run_path(rest[0], run_name="__main__")


def _redirect(*files: str) -> None:
    """stdin, stdout and stderr, as Python makes them for files and with the encoding that the environment asks for."""
    streams = []
    asked, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, _NEW, _NEW), strict=True)):
        opened = os.open(file, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
        before = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[number]
        assert before is not None
        streams.append(
            io.TextIOWrapper(
                open(number, "rb" if number == 0 else "wb", closefd=False),  # noqa: SIM115  for as long as it runs
                encoding=asked or before.encoding,
                errors="backslashreplace" if number == 2 else errors or ("strict" if asked else before.errors),
                line_buffering=number == 2,
            )
        )
    sys.stdin, sys.stdout, sys.stderr = streams


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _find_from(first: str) -> None:
    """Look for modules where a new Python would, and do what it does before its program begins."""
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    own = list(sys.path)
    while own and own[0] in _BEFORE_SITE:
        del own[0]
    sys.path[:] = [first, *dict.fromkeys(os.path.abspath(path) for path in given), *own]
    importlib.invalidate_caches()
    for name in _READ_THE_ENVIRONMENT:
        if name in sys.modules:
            importlib.reload(sys.modules[name])
    if os.environ.get("CHATTERBOX_CACHED"):
        importlib.import_module("chatterbox_cached_startup")
    with suppress(ModuleNotFoundError):
        importlib.import_module("sitecustomize")
