"""Property tests leave nothing behind, and a slow machine is no failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.servers import Seaweed, Valkey, running

settings.register_profile("chatterbox_cached", max_examples=60, deadline=None, database=None)
settings.load_profile("chatterbox_cached")


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with running(Valkey) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    with running(Seaweed) as server:
        yield server


@pytest.fixture
def s3(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    return seaweed
