"""Pages that run, on folders with voices that no model had to make."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, VoiceAccount
from chatterbox_cached.cache import ConditionalCache
from chatterbox_cached.library.named_voices import Voices
from chatterbox_cached.named.record import NamedVoice
from chatterbox_cached.settings import resolve
from tests.page.served import Served, page_in
from tests.support import filled_folders
from tests.support.command_fixtures import environment

__all__ = ["environment"]
MANY, NAMED = 5000, 100
HOSTILE = "<img src=x onerror=alert(1)>"


class Shelf:
    """A cache folder and a library of named voices, as the tests fill them."""

    def __init__(self, folder: Path) -> None:
        self.cache_dir, self.voices_dir = folder / "cache", folder / "voices"
        cache = ConditionalCache.from_settings(resolve({"cache_dir": self.cache_dir, "voices_dir": self.voices_dir}))
        self.voices = Voices(lambda: cache)

    @property
    def options(self) -> list[str | Path]:
        return ["--cache-dir", self.cache_dir]

    def cached(self, *names: str) -> list[str]:
        """Have voices be cached that were last seen under these names; says their digests."""
        contents = [name.encode() for name in names]
        filled_folders.fill(self.cache_dir, *contents)
        for name, content in zip(names, contents, strict=True):
            filled_folders.name(self.cache_dir, content, f"/voices/{name}")
        return [filled_folders.digest(content) for content in contents]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    return Shelf(tmp_path)


Open = Callable[..., Served]


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
