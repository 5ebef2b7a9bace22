"""A Ray cluster of two nodes on this machine, each with a cache folder of its own, and a store between them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from benchmarks.servers import Valkey
from chatterbox_cached.settings import PREFIX

OBJECTS = 100 * 2**20  # bytes for each node's objects; Ray wants 75 MB at least


class Fleet(NamedTuple):
    """``environment``: that of a program which is to find the cluster and its store. ``folder`` has a log with a line
    for each preparation on any node."""

    environment: dict[str, str]
    folder: Path
    store: Valkey

    @property
    def preparations(self) -> list[str]:
        """The process of each so far."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def voices(self) -> int:
        """How many the store has."""
        return sum(1 for _ in self.store.client().scan_iter("chatterbox-cached:*:v*/*"))


@contextmanager
def two_nodes(folder: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which a program finds the cluster, whose workers have this ``environment``.

    ``folder`` has the nodes' cache folders: ``node-1`` and ``node-2``.
    """
    from ray.cluster_utils import Cluster

    # Not below the test's folder: the path of a socket may have 107 bytes, of which Ray takes 70.
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")
    own = {**environment, "RAY_TMPDIR": temporary, "RAY_USAGE_STATS_ENABLED": "0"}
    with mock.patch.dict(os.environ, own):
        cluster = Cluster()
        try:
            for name in ("node-1", "node-2"):
                cluster.add_node(
                    num_cpus=2,
                    object_store_memory=OBJECTS,
                    include_dashboard=False,
                    env_vars={f"{PREFIX}DIR": str(folder / name)},
                )
            yield {**own, "RAY_ADDRESS": cluster.address}
        finally:
            cluster.shutdown()
            shutil.rmtree(temporary, ignore_errors=True)
