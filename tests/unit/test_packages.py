"""The code of Chatterbox is named by its distribution, or by itself where none owns it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatterbox_cached.upstream.packages import version_of_package
from tests.support.distributions import install, source_tree, version_of


@pytest.fixture(autouse=True)
def _forget_what_is_imported() -> Iterator[None]:
    yield
    version_of_package.cache_clear()


def test_a_distribution_is_named_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = install(tmp_path / "site", "chatterbox-streaming", "0.1.2")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert version_of(package, monkeypatch) == "chatterbox-streaming 0.1.2"


def test_an_unknown_distribution_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = install(tmp_path / "site", "my-chatterbox", "3.0")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert version_of(package, monkeypatch) == "my-chatterbox 3.0"


def test_a_distribution_elsewhere_is_not_taken_for_the_source_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "chatterbox-streaming", "0.1.2")
    monkeypatch.syspath_prepend(tmp_path / "site")
    said = version_of(source_tree(tmp_path / "checkout"), monkeypatch)
    assert said.startswith("source ")


def test_two_distributions_in_one_place_are_told_by_their_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "chatterbox-streaming", "0.1.2")
    package = install(tmp_path / "site", "chatterbox-light", "0.1.0")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert version_of(package, monkeypatch).startswith("source ")


def test_a_source_tree_is_named_by_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = version_of(source_tree(tmp_path / "one"), monkeypatch)
    two = version_of(source_tree(tmp_path / "two"), monkeypatch)
    other = version_of(source_tree(tmp_path / "three", code="x = 2\n"), monkeypatch)
    moved_tree = source_tree(tmp_path / "four")
    os.rename(moved_tree / "models" / "t3.py", moved_tree / "models" / "t4.py")
    moved = version_of(moved_tree, monkeypatch)
    assert one == two
    assert len({one, other, moved}) == 3
