"""The cache folder as this user may use it: written to, or only read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...errors import EntryError
from ...log import logger
from . import folder, repair
from .frozen import LOOK_AGAIN_SECONDS, FrozenFolder
from .stored import Stored
from .tier import DiskTier

_Result = TypeVar("_Result")


class FolderTier:
    """A DiskTier where this user can write to the folder, and a FrozenFolder where it is filled and they can't.

    Which of them is looked at before the first use, after a failure, and now and then while it is the second. The
    arguments are those of DiskTier.
    """

    name = "disk"

    def __init__(
        self,
        root: Path,
        size_limit: int,
        was_set_aside: Callable[[Exception], None] = lambda _: None,
        no_room: Callable[[Exception], None] = lambda _: None,
        *,
        trusted: bool = False,
    ) -> None:
        self.root = root
        self.written = DiskTier(root, size_limit, was_set_aside, no_room, trusted=trusted)
        self.frozen = FrozenFolder(root, trusted=trusted)
        self._read_only, self._look_at, self._said = False, 0.0, False

    @property
    def read_only(self) -> bool:
        """Whether there is a filled folder that can only be read."""
        if time.monotonic() >= self._look_at:
            self._read_only = folder.is_read_only(self.root)
            self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS if self._read_only else float("inf")
            if self._read_only and not self._said:
                self._said = True
                logger().info("The cache folder %s can only be read: new voices are kept in memory only.", self.root)
        return self._read_only

    def open(self) -> None:
        self._do(lambda tier: tier.open())

    def get(self, key: str) -> bytes | None:
        return self._do(lambda tier: tier.get(key))

    def entry(self, key: str) -> bytes:
        """As ``get``, for what a listing has just named. Raises EntryError where it is not there any more."""
        return self._do(lambda tier: tier.entry(key))

    def put(self, key: str, value: bytes) -> None:
        self._do(lambda tier: tier.put(key, value))

    def delete(self, key: str) -> bool:
        return self._do(lambda tier: tier.delete(key))

    def delete_voice(self, prefix: str) -> int:
        return self._do(lambda tier: tier.delete_voice(prefix))

    def clear(self) -> int:
        return self._do(lambda tier: tier.clear())

    def keys(self, prefix: str = "") -> list[str]:
        return self._do(lambda tier: tier.keys(prefix))

    def listing(self) -> list[Stored]:
        """Every entry, those stored longest ago first. No value file is read."""
        return self._do(lambda tier: tier.listing())

    def __len__(self) -> int:
        return self._do(lambda tier: len(tier))

    def nbytes(self) -> int:
        return self._do(lambda tier: tier.nbytes())

    def check(self, decode: repair.Decode, fix: bool = True) -> repair.CheckReport:
        """Look through the folder and, with ``fix``, repair it; see DiskTier.check."""
        return self._do(lambda tier: tier.check(decode, fix))

    def close(self) -> None:
        self.written.close()
        self.frozen.close()

    def _do(self, operation: Callable[[DiskTier | FrozenFolder], _Result]) -> _Result:
        if self.read_only:
            return operation(self.frozen)
        try:
            return operation(self.written)
        except EntryError:
            raise
        except Exception:
            if not self._has_become_read_only():
                raise
            return operation(self.frozen)

    def _has_become_read_only(self) -> bool:
        self._look_at = 0.0
        self.frozen.close()  # what it saw before may be little
        return self.read_only
