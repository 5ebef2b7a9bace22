"""The stage on which scenes are played; see support/stage.py."""

from __future__ import annotations

import pytest

from tests.support.preloaded import Preloaded
from tests.support.stage import Stage


@pytest.fixture(scope="session")
def stage(preloaded: Preloaded) -> Stage:
    return Stage(preloaded)
