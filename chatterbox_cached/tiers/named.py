"""The tier of voices that have names: it keeps what is made of them for good, and nothing of any other voice."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..voice.key_format import parsed
from .disk.either import FolderTier


class NamedTier:
    """A folder for the voices whose digests ``named()`` gives."""

    name = "disk"  # it is on this machine's disk, so what it gives need not be kept there twice

    def __init__(self, folder: FolderTier, named: Callable[[], Collection[str]]) -> None:
        self._folder, self._named = folder, named

    def open(self) -> None:
        """Nothing is made before there is something to keep."""

    def get(self, key: str) -> bytes | None:
        return self._folder.get(key) if self._is_named(key) else None

    def put(self, key: str, value: bytes) -> None:
        if self._is_named(key):
            self._folder.put(key, value)

    def delete(self, key: str) -> bool:
        return self._folder.delete(key) if self._is_named(key) else False

    def delete_voice(self, prefix: str) -> int:
        return self._folder.delete_voice(prefix) if self._folder.root.exists() else 0

    def clear(self) -> int:
        return self._folder.clear() if self._folder.root.exists() else 0

    def keys(self, prefix: str = "") -> list[str]:
        return self._folder.keys(prefix) if self._named() else []

    def __len__(self) -> int:
        return len(self._folder) if self._named() else 0

    def nbytes(self) -> int:
        return self._folder.nbytes() if self._named() else 0

    def close(self) -> None:
        self._folder.close()

    def _is_named(self, key: str) -> bool:
        parts = parsed(key)
        return parts is not None and parts.audio in self._named()
