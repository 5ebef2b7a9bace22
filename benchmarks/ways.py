"""The ways to keep a voice that are compared, each written as its users write it.

Every way sets ``model.conds``. ``on`` is around its calls. ``forget`` makes it forget what is in memory,
``forget_all`` everything.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chatterbox_cached
from chatterbox_cached import CachedTTS, ConditionalCache


class Upstream:
    """No cache."""

    name = "upstream alone"

    def __init__(self, model: Any, folder: Path) -> None:
        self.model, self.folder = model, folder

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        yield

    def prepare(self, clip: str) -> None:
        self.model.prepare_conditionals(clip)

    def forget(self) -> None:
        """There is nothing to forget."""

    def forget_all(self) -> None:
        self.forget()


class LiveDict(Upstream):
    """Live conditionals in a dict by path: what servers do."""

    name = "dict by path"

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__(model, folder)
        self.kept: dict[str, Any] = {}

    def key(self, clip: str) -> str:
        return clip

    def prepare(self, clip: str) -> None:
        key = self.key(clip)
        if key not in self.kept:
            self.model.prepare_conditionals(clip)
            self.kept[key] = self.model.conds
        self.model.conds = self.kept[key]

    def forget(self) -> None:
        self.kept.clear()


class Md5(LiveDict):
    """The same by the content of the file, which is read at every call."""

    name = "dict by md5"

    def key(self, clip: str) -> str:
        return hashlib.md5(Path(clip).read_bytes()).hexdigest()


class PtFiles(LiveDict):
    """One .pt file for each resolved path and exaggeration, and a dict before it: what the guide does."""

    name = "pt by path"

    def key(self, clip: str) -> str:
        return f"{Path(clip).resolve()}:{0.5:.4f}"

    def prepare(self, clip: str) -> None:
        key = self.key(clip)
        if key not in self.kept:
            self.kept[key] = self._stored_or_made(clip, key)
        self.model.conds = self.kept[key]

    def _stored_or_made(self, clip: str, key: str) -> Any:
        from chatterbox.tts import Conditionals

        file = self.folder / f"{Path(clip).stem}-{hashlib.md5(key.encode()).hexdigest()[:8]}.pt"
        if file.exists():
            return Conditionals.load(file).to(self.model.device)
        self.model.prepare_conditionals(clip)
        self.model.conds.save(file)
        return self.model.conds

    def forget_all(self) -> None:
        self.forget()
        for file in self.folder.glob("*.pt"):
            file.unlink()


class Cache(Upstream):
    """This library, by hand."""

    name = "ConditionalCache"

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__(model, folder)
        self.cache = ConditionalCache(folder)

    def prepare(self, clip: str) -> None:
        self.cache.get_or_prepare(self.model, clip)

    def forget(self) -> None:
        self.cache.clear_memory()

    def forget_all(self) -> None:
        self.cache.clear_all()


class Proxy(Cache):
    """This library, as a drop-in."""

    name = "CachedTTS"

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__(model, folder)
        self.proxy = CachedTTS(model, self.cache)

    def prepare(self, clip: str) -> None:
        self.proxy.prepare_conditionals(clip)


class Enabled(Cache):
    """This library, by one line."""

    name = "enable()"

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        chatterbox_cached.enable(cache=self.cache)
        try:
            yield
        finally:
            chatterbox_cached.disable()

    def prepare(self, clip: str) -> None:
        self.model.prepare_conditionals(clip)


OTHERS = (Upstream, LiveDict, PtFiles, Md5)
OURS = (Enabled, Proxy, Cache)
