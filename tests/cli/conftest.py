"""The command in an environment of its own, in a fork of a preloaded process or as the installed one."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from tests.support.command_fixtures import cli, environment, expecting, standin_environment, unladen, write
from tests.support.commands import Cli
from tests.support.preloaded import Preloaded

__all__ = ["cli", "environment", "standin_environment", "unladen", "write"]


@pytest.fixture
def chatterbox_cli(
    preloaded_chatterbox: Preloaded, environment: dict[str, str], hub_environment: dict[str, str], tmp_path: Path
) -> Cli:
    """The same where the real Chatterbox is loaded, from the hub folder."""
    return expecting(preloaded_chatterbox.run, {**environment, **hub_environment}, tmp_path)


@pytest.fixture
def installed(environment: dict[str, str], tmp_path: Path) -> Cli:
    """The same as a process of its own: the installed command."""
    captured = functools.partial(subprocess.run, capture_output=True, text=True, input="", timeout=300)
    return expecting(captured, environment, tmp_path)


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``start([...])``: a process in the tests' folder, whatever it ends with."""

    def start(arguments: list[str], stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env={**environment, **more},
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return start


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has what we need but not us: neither the package nor its .pth."""
    return _python_without(tmp_path_factory.mktemp("bare"), "chatterbox_cached")


@pytest.fixture(scope="session")
def clientless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without prometheus_client."""
    return _python_without(tmp_path_factory.mktemp("clientless"), "chatterbox_cached", "prometheus_client")


def _python_without(folder: Path, *names: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
    site = next(folder.glob("lib/*/site-packages"))
    for there in packages.iterdir():
        if not any(name in there.name for name in names) and not (site / there.name).exists():
            (site / there.name).symlink_to(there)
    return folder / "bin" / "python"


@pytest.fixture
def used(tmp_path: Path, english: Any, voice: Path) -> Path:
    """A cache folder that two programs have used, one after the other, each twice for the same voice."""
    folder = tmp_path / "voices"
    for _ in range(2):
        cache = ConditionalCache(folder)
        cache.get_or_prepare(english, voice)
        cache.get_or_prepare(english, voice)
        cache.close()
    return folder
