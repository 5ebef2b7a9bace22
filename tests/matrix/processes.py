"""Processes that see a Chatterbox of the matrix first, and nothing of who started them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.commands import REPOSITORY

# The last bits of a voice depend on the number of threads.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
_SECONDS = 600


class Failed(Exception):
    """A process that did not end well; says what it said last."""


class Processes:
    """Pythons with ``folders`` first on ``sys.path``, whose own files go below ``scratch``; this one by default."""

    def __init__(self, folders: Sequence[Path], scratch: Path, python: str = sys.executable) -> None:
        self._python, self.scratch = python, scratch
        scratch.mkdir(parents=True, exist_ok=True)
        own = {name: value for name, value in os.environ.items() if not name.startswith("CHATTERBOX_CACHED")}
        path = os.pathsep.join(map(str, (*folders, REPOSITORY)))
        homes = dict.fromkeys(("HF_HOME", "XDG_CACHE_HOME"), str(scratch / "home"))
        self._environment = {**own, **dict.fromkeys(_THREADS, "1"), **_QUIET, **homes, "PYTHONPATH": path}

    def python(self, *arguments: str | Path, wanted: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run Python to its end. Raises Failed where its status is none of those ``wanted``."""
        command = [self._python, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, env=self._environment, cwd=self.scratch, timeout=_SECONDS,
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {_SECONDS} s") from None
        if done.returncode not in wanted:
            raise Failed((done.stderr.strip() or f"ended with {done.returncode}").splitlines()[-1])
        return done
