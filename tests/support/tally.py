"""Counts what the tests tried, so that the figures in docs/reliability.md come from a command; see conftest.py."""

from __future__ import annotations

from collections import Counter

_tried: Counter[str] = Counter()


def tried(what: str, times: int = 1) -> None:
    """Another ``what`` was tried by the test that is running."""
    _tried[what] += times


def take() -> list[tuple[str, int]]:
    """What was tried since this was last asked."""
    taken = list(_tried.items())
    _tried.clear()
    return taken
