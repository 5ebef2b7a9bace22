"""What the caches of this process did, for Prometheus: the metrics, where they go, and the address they are read from.

In one process, everything is read from the statistics when Prometheus asks, so that a hit costs nothing. Where several
worker processes are read as one (``PROMETHEUS_MULTIPROC_DIR``), prometheus_client adds up the files that each worker
keeps, and only asks one of them: what a worker counts has to be in its file by then, so it is written as it happens.
"""

from __future__ import annotations

import os
import weakref
from errno import EADDRINUSE
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from ..concurrency.forks import ForkSafeLock
from ..errors import NotInstalledError
from ..notices import tell
from ..settings import METRICS_ADDRESS, METRICS_PORT
from .stats import ENCODERS, VOICES

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

LOOPBACK = "127.0.0.1"
_NEEDS = "Metrics need prometheus_client, which is not installed here: pip install 'chatterbox-cached[metrics]'"


class Metric(NamedTuple):
    """``counts``: what of the statistics it shows. ``always``: values of the label that are shown before they occur."""

    counts: str
    name: str
    help: str
    label: str = ""
    always: tuple[str, ...] = ()


COUNTERS = (
    Metric("hits", "chatterbox_cached_hits", "Calls served by the cache.", "tier", ("memory", "disk")),
    Metric("seams", "chatterbox_cached_seam_hits", "The same by how they were served.", "seam", (VOICES, ENCODERS)),
    Metric("misses", "chatterbox_cached_misses", "Calls for which upstream prepared."),
    Metric("bypasses", "chatterbox_cached_bypasses", "Calls that went round the cache.", "reason"),
    Metric("not_stored", "chatterbox_cached_not_stored", "Misses whose result was not kept.", "reason"),
    Metric("errors", "chatterbox_cached_errors", "Failures of the cache itself.", "place"),
    Metric("mismatches", "chatterbox_cached_mismatches", "Calls with another exaggeration than was prepared."),
    Metric("saved_seconds", "chatterbox_cached_saved_seconds", "Preparation that hits saved, less what they took."),
    Metric("lost_seconds", "chatterbox_cached_lost_seconds", "By how much hits took longer than the preparation had."),
)
PREPARATIONS = Metric("prepare_seconds", "chatterbox_cached_prepare_seconds", "What upstream took for a preparation.")
# By the fields of process_wide.Held.
SIZES = (
    Metric("memory_entries", "chatterbox_cached_memory_entries", "Voices in memory."),
    Metric("memory_bytes", "chatterbox_cached_memory_bytes", "Size of the voices in memory."),
    Metric("disk_entries", "chatterbox_cached_disk_entries", "Voices in the cache folder."),
    Metric("disk_bytes", "chatterbox_cached_disk_bytes", "Size of the cache folder, index included."),
)

_lock = ForkSafeLock()
_registered: weakref.WeakSet[CollectorRegistry] = weakref.WeakSet()
_written = _served = False


def register(registry: CollectorRegistry | None = None) -> None:
    """Have ``registry`` (None for prometheus_client's own) show what all caches of this process do.

    It may be called before or after ``enable()``, and again. In multiprocess mode there is nothing to register with:
    from here on this process and those that it forks write into the files from which their sum is made.
    Raises NotInstalledError without prometheus_client, and OSError where its files can't be written.
    """
    need_client()
    import prometheus_client

    with _lock:
        if _is_multiprocess():
            _write()
            return
        chosen = prometheus_client.REGISTRY if registry is None else registry
        if chosen not in _registered:
            from .scraped import OfThisProcess

            chosen.register(OfThisProcess())
            _registered.add(chosen)


def need_client() -> None:
    """Raises NotInstalledError where prometheus_client is not installed."""
    if find_spec("prometheus_client") is None:
        raise NotInstalledError(_NEEDS)


def serve(address: str, port: int) -> None:
    """Register, and answer at http://address:port/metrics from a thread of its own for as long as this process runs.

    Raises NotInstalledError without prometheus_client, and OSError where the port is taken.
    """
    register()
    from prometheus_client import REGISTRY, CollectorRegistry, multiprocess, start_http_server

    registry = REGISTRY
    if _is_multiprocess():
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    server, _ = start_http_server(port, address, registry)
    if hasattr(os, "register_at_fork"):
        # A fork has the socket and no thread that answers: it would keep the port from the next process.
        os.register_at_fork(after_in_child=server.socket.close)


def serve_where_wanted() -> None:
    """Serve where the environment names a port; once, and not again in a fork.

    What keeps that from being done is warned of.
    """
    global _served
    port, address = os.environ.get(METRICS_PORT), os.environ.get(METRICS_ADDRESS) or LOOPBACK
    with _lock:
        if not port or _served:
            return
        _served = True
    try:
        serve(address, int(port))
    except NotInstalledError as error:
        tell(f"{error} The program runs without them.")
    except Exception as error:
        taken = isinstance(error, OSError) and error.errno == EADDRINUSE
        tell(
            f"This process serves no metrics at {address}:{port} ({error}). The cache is not affected."
            + (" Where workers of one program share a port, set PROMETHEUS_MULTIPROC_DIR." if taken else "")
        )


def _is_multiprocess() -> bool:
    # prometheus_client looks at the environment when it is imported, and keeps to that.
    from prometheus_client import values

    return values.ValueClass is not values.MutexValue


def _write() -> None:
    global _written
    if not _written:
        from .stats import listen
        from .written import Writer

        listen(Writer().add)
        _written = True
