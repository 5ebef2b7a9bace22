"""The stage on which scenes are played; see support/stage.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import people


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that an unprivileged user can reach, unlike pytest's."""
    yield from people.within_reach()
