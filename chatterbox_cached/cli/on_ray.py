"""Workers on the nodes of a Ray cluster, each with a model of its own: our side of them, and theirs.

What they prepare goes into the shared stores alone, and is there before they tell of it. So it does not matter when and
how one of them ends, nor which node has which folder. The audio goes to them as it is, for nodes may not see our files.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..cache import ConditionalCache
from ..concurrency.deadline import within
from ..errors import ChatterboxCachedError, NotInstalledError, SettingsError, in_short
from ..library.warming import FAILED, Outcome, warm
from ..settings import Settings
from .models import Model, ModelError, load, quietly
from .workers import Lost

CONNECT_SECONDS = 60.0  # for Ray to find a cluster, or to start one
_REACH_SECONDS = 5.0


def settings_on_nodes(settings: Settings) -> Settings:
    """The same for a worker: in the shared stores and nowhere else. Raises SettingsError where it could put nothing
    there."""
    if not settings.shared:
        raise SettingsError(
            "The nodes of a cluster need a store to put the voices in. Set CHATTERBOX_CACHED_SHARED, for instance to"
            " valkey://host:6379/0."
        )
    if settings.shared_mode == "read" or settings.only_checks:
        raise SettingsError(
            "With these settings nothing is put into the store. Set CHATTERBOX_CACHED_SIGNING_KEY, and not"
            " CHATTERBOX_CACHED_SHARED_MODE=read."
        )
    return settings._replace(cache_dir=None, read_only_dirs=(), auto_save=True, verify=0.0)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[None]:
    """Connected to the cluster at this address, as ``ray.init`` takes it.

    Raises NotInstalledError without Ray, and ChatterboxCachedError where there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise NotInstalledError("--ray needs Ray. Run: pip install 'chatterbox-cached[ray]'") from error
    try:
        _reach(address)
        within(CONNECT_SECONDS, lambda: ray.init(address, log_to_driver=False, logging_level="ERROR"))
    except (OSError, RuntimeError, ValueError) as error:
        raise ChatterboxCachedError(f"There is no Ray cluster at {address} ({in_short(error)}).") from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError where nothing listens at a host and a port: Ray itself would try for minutes, deaf to Ctrl-C."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()


def workers_for(device: str | None, jobs: int | None) -> tuple[int, int]:
    """How many workers there are to be, and how many GPUs each has: one for each node or GPU, unless ``jobs`` says.

    Raises ChatterboxCachedError where there are no GPUs for them.
    """
    import ray

    gpus = int(ray.cluster_resources().get("GPU", 0))
    wanted = gpus > 0 if device is None else device.startswith("cuda")
    if not wanted:
        nodes = sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())
        return jobs or max(1, nodes), 0
    if not gpus:
        raise ChatterboxCachedError("This cluster has no GPU. Give --device cpu.")
    return min(jobs or gpus, gpus), 1


class RayWorker:
    """One actor. ``loaded`` comes first, and then ``warm`` for each file."""

    def __init__(self, settings: Settings, model: str, device: str | None, checkpoint: str | None, gpus: int) -> None:
        import ray

        actor: Any = ray.remote(_Actor)
        self._actor = actor.options(num_gpus=gpus, scheduling_strategy="SPREAD").remote()
        self._loaded = self._actor.load.remote(settings, model, device, checkpoint)

    def loaded(self) -> str:
        """The device on which its model is, once it is there. Raises ModelError where it can't be loaded, or Lost."""
        device, error = _result(self._loaded)
        if device is None:
            raise ModelError(error)
        return str(device)

    def warm(self, path: Path) -> Outcome:
        """What became of this file. Raises Lost."""
        try:
            content = path.read_bytes()
        except OSError as error:
            return Outcome(path, FAILED, in_short(error))
        became, why = _result(self._actor.warm.remote(path.name, content))
        return Outcome(path, became, why)

    def interrupt(self) -> None:
        """End it: nothing is lost but what it is doing."""
        import ray

        ray.kill(self._actor)

    dismiss = kill = interrupt

    def wait(self, until: float) -> None:
        """There is nothing to wait for."""


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        told = getattr(error, "cause", None) or error  # one that was raised by a worker begins with where that was
        raise Lost(f"({in_short(told)})") from error


class _Actor:
    """What is run on a node."""

    def load(
        self, settings: Settings, model: str, device: str | None, checkpoint: str | None
    ) -> tuple[str | None, str]:
        """The device on which the model is; or None, and what is in the way."""
        self._cache = ConditionalCache.from_settings(settings)
        try:
            self._cache.serving.store.shared.reach()
            with quietly():
                self._model = load(Model(model), device, None if checkpoint is None else Path(checkpoint))
        except ChatterboxCachedError as error:
            return None, str(error)
        return str(self._model.device), ""

    def warm(self, name: str, content: bytes) -> tuple[str, str]:
        """What became of an audio file with this content."""
        with quietly(), TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_bytes(content)
            outcome = warm(self._cache, self._model, file, at_once=True)
        return outcome.became, outcome.why
