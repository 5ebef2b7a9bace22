"""Packages ``chatterbox`` that belong to a distribution, or to none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatterbox_cached.upstream.packages import version_of_class, version_of_package


def install(site: Path, distribution: str, version: str, *, code: str = "x = 1\n") -> Path:
    """A distribution that owns a package ``chatterbox`` in the folder ``site``."""
    package, info = site / "chatterbox", site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(code)
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "top_level.txt").write_text("chatterbox\n")
    (info / "RECORD").write_text("chatterbox/__init__.py,,\n")
    return package


def source_tree(folder: Path, code: str = "x = 1\n") -> Path:
    """A package ``chatterbox`` that no distribution owns."""
    package = folder / "chatterbox"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "models" / "t3.py").write_text(code)
    return package


def version_of(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of a class of ``package`` when it is the chatterbox that was imported."""
    monkeypatch.setitem(sys.modules, "chatterbox", SimpleNamespace(__file__=str(package / "__init__.py")))
    version_of_package.cache_clear()
    return version_of_class(type("ChatterboxTTS", (), {"__module__": "chatterbox.tts"}))
