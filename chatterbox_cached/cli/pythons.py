"""Whether a command is run by a Python that knows nothing of the cache, as far as that can be seen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

_KNOWS_US = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('chatterbox_cached'))"


def warn_of_another_python(command: str) -> None:
    """Say so in one line, where ``command`` is run by a Python in which the cache is not installed."""
    python = _python_of(command)
    if python is None or os.path.dirname(python) == os.path.dirname(sys.executable):
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run([python, "-c", _KNOWS_US], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        if asked.returncode:
            print(
                f"chatterbox-cached: {command} is run by {python}, which has no chatterbox-cached: it runs without the"
                f" cache. Install it there: {python} -m pip install chatterbox-cached",
                file=sys.stderr,
            )


def _python_of(command: str) -> str | None:
    """The Python that runs ``command``: it may be one itself, or a script whose first line names one."""
    found = shutil.which(command)
    if found is None or os.path.basename(found).startswith("python"):
        return found
    try:
        with open(found, "rb") as file:
            words = file.readline(1000).removeprefix(b"#!").decode().split()
    except (OSError, UnicodeDecodeError):
        return None
    named = words[-1] if words and os.path.basename(words[0]) == "env" else next(iter(words), "")
    return shutil.which(named) if "python" in os.path.basename(named) else None
