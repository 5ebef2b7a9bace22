"""What all workers of one run of the tests use, made by the first of them that needs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest


def folder_of(factory: pytest.TempPathFactory) -> Path:
    """The folder of the run; a worker's own temporary folder is inside of it."""
    own = factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "run-wide"


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """``folder``, which ``make`` has filled in this worker or in another one."""
    folder.parent.mkdir(exist_ok=True)
    done = folder.with_name(f"{folder.name}.done")
    with filelock.FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that was ended in the middle
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def remove(factory: pytest.TempPathFactory) -> None:
    """At the end of the run: it holds over 2 GB, which pytest would keep for three runs."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(folder_of(factory), ignore_errors=True)
