"""Which distribution the code of Chatterbox comes from, and the versions of the libraries that it calls."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("torch", "torchaudio", "librosa", "soxr", "s3tokenizer", "numpy", "scipy", "soundfile", "audioread")
# The distributions that are known to install the package `chatterbox`; any other is found by a slower search.
_DISTRIBUTIONS = (
    "chatterbox-tts",
    "chatterbox-streaming",
    "chatterbox-light",
    "tts-webui-chatterbox-tts",
    "videopython-chatterbox",
    "chatterbox-ng",
)


def version_of_class(kind: type) -> str:
    """Distribution and version of the package that a class comes from, such as ``chatterbox-tts 0.1.7``.

    A source tree that no distribution owns is named by a digest of its code.
    """
    package = sys.modules.get(kind.__module__.rpartition(".")[0])
    if file := getattr(package, "__file__", None):
        return version_of_package(Path(file).parent)
    return "a module that is in no package"


def installed_chatterbox() -> str | None:
    """Distribution and version of the installed package ``chatterbox``; None where there is none."""
    spec = importlib.util.find_spec("chatterbox")
    return None if spec is None or not spec.origin else version_of_package(Path(spec.origin).parent)


@lru_cache(maxsize=16)
def version_of_package(package: Path) -> str:
    """The same for the package ``chatterbox`` that lies in this folder, imported or not."""
    names = [name for name in _DISTRIBUTIONS if _owns(name, package)]
    names = names or [name for name in metadata.packages_distributions().get("chatterbox", []) if _owns(name, package)]
    if len(names) == 1:
        return f"{names[0]} {metadata.version(names[0])}"
    code = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        code.update(f"{file.relative_to(package)}\n".encode() + file.read_bytes())
    return f"source {code.hexdigest()}"


def _owns(distribution: str, package: Path) -> bool:
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return Path(str(found.locate_file("chatterbox"))).resolve() == package.resolve()


def library_versions() -> dict[str, str | None]:
    """The versions of the libraries that decide the bits, None for those that are not installed."""
    return {**{name: _version(name) for name in _LIBRARIES}, "libsndfile": _libsndfile()}


def load_libraries() -> None:
    """Load now what finding out the versions loads."""
    _libsndfile()


@lru_cache(maxsize=1)
def _libsndfile() -> str | None:
    """The version of the library that decodes audio; soundfile brings it, or finds one on the machine."""
    try:
        import soundfile
    except (ImportError, OSError):  # not installed, or without its library
        return None
    return str(soundfile.__libsndfile_version__)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
