"""Where the installed command and the stand-ins are, and what the fixtures are that run commands."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
STANDIN = Path(__file__).with_name("standin")  # for PYTHONPATH: Chatterbox is found there
SHORTENED = Path(__file__).with_name("shortened")  # likewise: the real one is short where it speaks
COUNTED = Path(__file__).with_name("counted")  # likewise, and its preparations are counted
COMMAND = Path(sys.executable).with_name("chatterbox-cached")
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]


@contextlib.contextmanager
def process_in(
    folder: Path, arguments: list[str | Path], env: Mapping[str, str], **pipes: Any
) -> Iterator[subprocess.Popen[str]]:
    """A process for the length of a block, killed if it has not ended by then; what it says is in ``stderr``."""
    with (folder / "stderr").open("w+") as stderr:
        process = subprocess.Popen(list(map(str, arguments)), env=env, cwd=folder, stderr=stderr, text=True, **pipes)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def shallow_environment(folder: Path) -> dict[str, str]:
    """In which a process makes shallow models, since it finds no weights."""
    (folder / "sitecustomize.py").write_text("from tests.support import shallow\nshallow.make_shallow()\n")
    own = {"HF_HUB_CACHE": str(folder / "empty"), "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **own, "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"}
