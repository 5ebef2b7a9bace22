"""A ledger on a cache folder without a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatterbox_cached.accounting.failures import Failures
from chatterbox_cached.accounting.ledger import Ledger
from chatterbox_cached.accounting.stats import Stats
from chatterbox_cached.settings import resolve

DIGEST = "a" * 64


class Desk:
    """A ledger with its counters, as a cache has them."""

    def __init__(self, root: Path) -> None:
        self.stats = Stats()
        self.ledger = Ledger(resolve({"cache_dir": root}), self.stats, Failures(self.stats, root))

    def hit(self, digest: str = DIGEST) -> None:
        self.ledger.used(digest, "/voice.wav", "voice.wav", self.stats.hit("memory", 1.0, 0.0))

    @property
    def errors(self) -> Any:
        return self.stats.snapshot()["errors"]
