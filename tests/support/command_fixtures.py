"""Fixtures that run the command, for the tests of the command line and of shared stores."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, REPOSITORY, STANDIN, Cli, Write
from tests.support.preloaded import Preloaded

# A Chatterbox for what needs only its names: that the classes are patched when they are imported.
NAMES = """
class ChatterboxTTS:
    def prepare_conditionals(self, wav_fpath, exaggeration=0.5): ...
    def generate(self, text, audio_prompt_path=None, exaggeration=0.5): ...

def is_cached():
    return type(vars(ChatterboxTTS)["generate"]).__module__ == "chatterbox_cached.patching.wrappers"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of ours, with a home folder of its own, for a terminal of 80 columns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATTERBOX_CACHED")}
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache")}
    home["XDG_DATA_HOME"] = str(tmp_path / "home" / ".local" / "share")
    return {**kept, **home, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "80"}


@pytest.fixture
def cli(preloaded: Preloaded, environment: dict[str, str], tmp_path: Path) -> Cli:
    """``cli("ls", "--json", code=0)``: run the command, expect this exit code, and give what it printed.

    In a fork of a preloaded process; test_entry_point compares it with the installed command.
    """
    return expecting(preloaded.run, environment, tmp_path)


def expecting(run: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str], folder: Path) -> Cli:
    def cli(*arguments: str | Path, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = run([str(COMMAND), *map(str, arguments)], env={**environment, **more}, cwd=folder)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return cli


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("script.py", text)``: a file in the folder that programs run in."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    write("chatterbox/__init__.py", "")
    write("chatterbox/tts.py", NAMES)
    return write


@pytest.fixture
def unladen(write: Write) -> dict[str, str]:
    """Where ``doctor`` is ready in no time: with a stand-in for Chatterbox. In test_doctor it has the real one."""
    write(
        "chatterbox/mtl_tts.py",
        """
        class ChatterboxMultilingualTTS:
            def prepare_conditionals(self, wav_fpath, exaggeration=0.5): ...
            def generate(self, text, language_id, audio_prompt_path=None, exaggeration=0.5): ...
        """,
    )
    perth = write("perth.py", "PerthImplicitWatermarker = object\n")
    return {"PYTHONPATH": f"{perth.parent}{os.pathsep}{REPOSITORY}"}


@pytest.fixture(scope="session")
def standin_environment() -> dict[str, str]:
    """The environment in which a process finds the stand-in, whose preparations take no time."""
    return {"PYTHONPATH": os.pathsep.join(map(str, (STANDIN, REPOSITORY)))}
