"""What a process pays before it does anything: importing the package and ``enable()``."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import chatterbox_cached

from .. import clock
from ..stage import Stage

_SCRIPTS = {
    "bare Python": "pass",
    "bare Python, CHATTERBOX_CACHED=1": "pass",
    "import wrapt": "import wrapt",
    "import chatterbox_cached": "import chatterbox_cached",
    "import and enable()": "import chatterbox_cached as c, sys; c.enable(); assert 'torch' not in sys.modules",
}


def start(stage: Stage) -> dict[str, Any]:
    """Milliseconds of whole processes."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(stage.new_folder())}
    # As an installed package is; else each process would compile it where Python may write no bytecode.
    compileall.compile_dir(Path(chatterbox_cached.__file__).parent, quiet=1)
    works = {
        name: (
            nullcontext,
            partial(_run, script, {**environment, "CHATTERBOX_CACHED": "1" if name.endswith("=1") else ""}),
            clock.nothing,
        )
        for name, script in _SCRIPTS.items()
    }
    return {"unit": "ms", **clock.singles(works, rounds=stage.times(25, 9), scale=1e3)}


def _run(script: str, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
