"""The distributions that are run, at which version, and the folders that they are laid out in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PINNED_ON = "2026-11-27"
MAIN = "5de7a54aa4e5e2baadb0182dde554908b48b85c2"  # of 2026-07-21
MAIN_FROM = os.environ.get("MAIN_FROM", "git+https://github.com/resemble-ai/chatterbox")

# What these pin: with the newer one of the tests' environment some import and prepare, but don't speak.
_OLDER_TRANSFORMERS = ("transformers==4.46.3", "tokenizers==0.20.3", "huggingface-hub==0.36.2")
_FIRST = ("english", "vc")
_WITHOUT_TURBO = ("english", "multilingual", "vc")
_ALL = ("english", "multilingual", "turbo", "vc")


class Distribution(NamedTuple):
    """One of them, and the families that it has classes of.

    ``beside``: what is laid out beside it, in place of what the tests' environment has. ``entries_as``: the first one
    that has the same entries, since code and weights are the same. ``calls_itself``: its version in its metadata.
    """

    name: str
    version: str
    families: tuple[str, ...]
    beside: tuple[str, ...] = ()
    entries_as: str = ""
    calls_itself: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def requirement(self) -> str:
        return f"chatterbox-tts @ {MAIN_FROM}@{MAIN}" if self.version == "main" else f"{self.name}=={self.version}"


_OLD, _MTL, _NEW = (f"chatterbox-tts 0.1.{patch}" for patch in (0, 3, 6))
INSTALLED = Distribution("chatterbox-tts", "0.1.7", _ALL, (), _NEW)  # with the pins of constraints.txt
MAIN_ITSELF = Distribution("chatterbox-tts", "main", _ALL, (), _NEW, "0.1.7")
DISTRIBUTIONS = (
    Distribution("chatterbox-tts", "0.1.0", _FIRST, _OLDER_TRANSFORMERS, calls_itself="0.1"),
    Distribution("chatterbox-tts", "0.1.1", _FIRST, _OLDER_TRANSFORMERS, _OLD),
    Distribution("chatterbox-tts", "0.1.2", _FIRST, _OLDER_TRANSFORMERS, _OLD),
    Distribution("chatterbox-tts", "0.1.3", _WITHOUT_TURBO, _OLDER_TRANSFORMERS),
    Distribution("chatterbox-tts", "0.1.4", _WITHOUT_TURBO, _OLDER_TRANSFORMERS, _MTL),
    Distribution("chatterbox-tts", "0.1.5", _WITHOUT_TURBO, _OLDER_TRANSFORMERS, _MTL),
    Distribution("chatterbox-tts", "0.1.6", _ALL, _OLDER_TRANSFORMERS),
    INSTALLED,
    MAIN_ITSELF,
    Distribution("chatterbox-streaming", "0.1.2", _FIRST, _OLDER_TRANSFORMERS, _OLD),
    Distribution("tts-webui-chatterbox-tts", "0.4.4", _WITHOUT_TURBO, _OLDER_TRANSFORMERS),
    Distribution("chatterbox-light", "1.0.2", _ALL),
    Distribution("videopython-chatterbox", "0.1.7.post2", _ALL, (), _NEW),
    Distribution("tts-chatterbox", "0.1.0", _WITHOUT_TURBO, _OLDER_TRANSFORMERS, _MTL),
    Distribution("chatterbox-mlx", "1.0.6", _WITHOUT_TURBO, ("psutil==7.2.0",)),
)


def laid_out(distribution: Distribution, cache: Path, uv: str) -> list[Path]:
    """The folders to put first on ``sys.path``, made now or before; none where it can't be had, and a line why."""
    try:
        return [_folder(each, cache, uv) for each in (distribution.requirement, *distribution.beside)]
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().splitlines()[-1:]
        print(f"{distribution.title} is not to be had here:", *said, flush=True)
        return []


def _folder(requirement: str, cache: Path, uv: str) -> Path:
    folder = cache / "{}.{}".format(*sys.version_info) / re.sub(r"==| @ .*@", "-", requirement)
    ready = folder / ".ready"
    if not ready.exists():
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python", sys.executable]
        command += ["--target", str(folder), requirement]
        subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
        ready.touch()
    return folder
