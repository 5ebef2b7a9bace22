"""Pages that run, on folders with voices that no model had to make."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, VoiceAccount
from chatterbox_cached.named.record import NamedVoice
from tests.support import filled_folders
from tests.support.command_fixtures import environment
from tests.support.served import Served, page_in
from tests.support.shelves import MANY, NAMED, Open, Shelf

__all__ = ["environment"]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def open_page(shelf: Shelf, environment: dict[str, str], tmp_path: Path) -> Iterator[Open]:
    """``open_page("--edit")``: the page of the shelf, let in; ``env`` adds variables."""
    with ExitStack() as opened:

        def open_page(*options: str, **more: str) -> Served:
            own = {**environment, "CHATTERBOX_CACHED_VOICES_DIR": str(shelf.voices_dir), **more}
            return opened.enter_context(page_in(tmp_path, own, *shelf.options, *options))

        yield open_page


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """5,000 voices that were used in the last month, of which 100 have names."""
    shelf, chance, now = Shelf(tmp_path_factory.mktemp("many")), random.Random(1), time.time()
    root = shelf.cache_dir
    contents = [f"voice {number}".encode() for number in range(MANY)]
    filled_folders.fill(root, *contents)
    known = []
    for number, content in enumerate(contents):
        hits, name = chance.randrange(400), f"{chance.choice(['anna', 'ben', 'erzähler'])} {number:04}.wav"
        used = now - chance.uniform(0, 30 * 86_400)
        seconds = chance.uniform(3, 30)
        known.append(
            VoiceAccount(filled_folders.digest(content), name, f"/voices/{name}", seconds, used, hits, hits * 0.9)
        )
    account.add(root, Batch(now, {("memory_hits", ""): 7, ("saved_seconds", ""): 6.5}, known), lambda error: None)
    for each in known[:NAMED]:
        shelf.voices.library.register.add(NamedVoice(each.name or "", each.digest, seconds=each.duration))
    return shelf


@pytest.fixture
def many_served(many: Shelf, environment: dict[str, str], tmp_path: Path) -> Iterator[Served]:
    """The page of 5,000 voices."""
    own = {**environment, "CHATTERBOX_CACHED_VOICES_DIR": str(many.voices_dir)}
    with page_in(tmp_path, own, *many.options) as served:
        yield served
