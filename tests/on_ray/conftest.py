"""Clusters of two nodes with Valkey between them, and how often upstream was asked to prepare, on whichever node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import Valkey
from chatterbox_cached.demo.hub import hub_folder
from chatterbox_cached.settings import PREFIX
from tests.support import short_models
from tests.support.cluster import Fleet, two_nodes
from tests.support.commands import COUNTED, REPOSITORY, STANDIN

KEY = "a key of the team, of 16 bytes and more"


def _fleet(valkey: Valkey, folder: Path, python_path: Path, **own: str) -> Iterator[Fleet]:
    environment = {
        f"{PREFIX}SHARED": valkey.url,
        f"{PREFIX}SIGNING_KEY": KEY,
        "PYTHONPATH": os.pathsep.join(map(str, (python_path, REPOSITORY))),
        **own,
    }
    with two_nodes(folder, environment) as found:
        yield Fleet({**os.environ, **found}, folder, valkey)


@pytest.fixture(scope="session")
def _with_standin(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    # A preparation takes long enough for all workers to come to their share.
    yield from _fleet(valkey, folder, STANDIN, STANDIN_LOG=str(folder / "log"), STANDIN_SECONDS="0.5")


@pytest.fixture
def fleet(_with_standin: Fleet) -> Fleet:
    """A cluster with the stand-in for Chatterbox, one for all tests. The store is empty, and nothing was prepared."""
    _with_standin.store.client().flushall()
    (_with_standin.folder / "log").unlink(missing_ok=True)
    return _with_standin


@pytest.fixture
def real_fleet(valkey: Valkey, tmp_path: Path) -> Iterator[Fleet]:
    """A cluster with a short Chatterbox with random weights."""
    hub = hub_folder(tmp_path / "hub", parts=short_models.parts())
    valkey.client().flushall()
    found = {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"}
    yield from _fleet(valkey, tmp_path, COUNTED, COUNTED=str(tmp_path / "log"), **found)
