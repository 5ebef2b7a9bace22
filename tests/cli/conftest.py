"""The installed command, run as a process in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("chatterbox-cached")
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of ours, with a home folder of its own, for a terminal of 80 columns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATTERBOX_CACHED")}
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache")}
    return {**kept, **home, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "80"}


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    """``cli("ls", "--json", code=0)``: run the command, expect this exit code, and give what it printed."""

    def run(*arguments: str | Path, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            env={**environment, **more},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
