"""Cache folders and libraries of named voices that the page is tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chatterbox_cached.cache import ConditionalCache
from chatterbox_cached.library.named_voices import Voices
from chatterbox_cached.settings import resolve
from tests.support import filled_folders
from tests.support.served import Served

Open = Callable[..., Served]  # opens the page of a shelf, with these options
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
