"""Imports go downwards only, and into another room by its face; see docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import chatterbox_cached
from tests.support.rooms import below, room_of

PACKAGE = Path(chatterbox_cached.__file__).parent


def imports_of(file: Path, package: Path) -> Iterator[str]:
    """The modules of the package that a file imports, named from the package on."""
    here = file.relative_to(package).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level], *(node.module.split(".") if node.module else [])]
            for name in node.names:
                inner = package.joinpath(*base, name.name)
                yield ".".join([*base, name.name] if inner.is_dir() or inner.with_suffix(".py").exists() else base)


def wrong_arrows(package: Path = PACKAGE) -> list[str]:
    wrong = []
    for file in sorted(package.rglob("*.py")):
        module = ".".join(file.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        for imported in imports_of(file, package):
            ours, theirs = room_of(module), room_of(imported)
            if ours == theirs:
                continue
            face = getattr(import_module(f"chatterbox_cached.{theirs}"), "__all__", None) if theirs else None
            behind = face is not None and imported != theirs and imported.removeprefix(f"{theirs}.") not in face
            if theirs not in below(ours) or behind:
                wrong.append(f"{module or '__init__'} -> {imported}")
    return wrong


def test_every_arrow_goes_down_and_to_a_face() -> None:
    assert wrong_arrows() == []


@pytest.mark.parametrize(
    ("module", "line", "arrow"),
    [
        ("voice/fields.py", "from ..upstream import slots", "voice.fields -> upstream.slots"),
        ("tiers/disk/tier.py", "from ...cache import ConditionalCache", "tiers.disk.tier -> cache"),
        ("library/voices.py", "from ..patching.activation import enable", "library.voices -> patching.activation"),
        ("cache.py", "from .tiers.disk.files import StrictDisk", "cache -> tiers.disk.files"),
        ("serving/voices.py", "from ..identity import weights", "serving.voices -> identity.weights"),
    ],
)
def test_an_arrow_that_goes_up_or_past_a_face_is_seen(module: str, line: str, arrow: str, tmp_path: Path) -> None:
    for file in PACKAGE.rglob("*.py"):
        copy = tmp_path / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / module).open("a", encoding="utf-8") as changed:
        changed.write(f"\n{line}\n")
    assert wrong_arrows(tmp_path) == [arrow]


def test_modules_are_small() -> None:
    lines = sorted(len(file.read_text(encoding="utf-8").splitlines()) for file in PACKAGE.rglob("*.py"))
    assert lines[-1] <= 300
    assert lines[len(lines) // 2] < 130
