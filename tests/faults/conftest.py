"""The stage on which scenes are played; see stage.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stage import Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()
