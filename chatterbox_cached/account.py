"""What all processes that used a cache folder did there, and what its voices are called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class VoiceAccount:
    """What is known of one voice."""

    digest: str
    name: str | None
    path: str | None
    duration: float | None
    last_used: float
    hits: int
    saved_seconds: float


@dataclass(frozen=True)
class Account:
    """What is known of one folder."""

    totals: dict[str, Any] = field(default_factory=dict)
    since: float | None = None
    voices: dict[str, VoiceAccount] = field(default_factory=dict)


def read(root: Path) -> Account:
    """The account of the cache folder ``root``."""
    return Account()


def forget(root: Path, digests: Iterable[str]) -> None:
    """Drop the rows of these voices."""


def clear(root: Path) -> None:
    """Drop all voices' rows."""
