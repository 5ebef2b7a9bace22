"""The first hit of a new process, and the fingerprint of the model, which is most of it."""

from __future__ import annotations

import gc
import time
from typing import Any

from .. import clock, ways
from ..stage import Stage, in_child


def first_hit(stage: Stage) -> dict[str, Any]:
    """Milliseconds from a loaded model to ``model.conds``, with all that is imported on the way."""
    folder, clip = stage.new_folder(), str(stage.clips[10])
    kinds = {kind.name: kind for kind in (ways.PtFiles, *ways.OURS)}
    for kind in (ways.PtFiles, ways.Enabled):  # ours share one folder
        in_child(_one_call, stage, kind, folder, clip)
    taken: dict[str, list[float]] = {name: [] for name in (*kinds, "floor: one read of the weights")}
    for _ in range(stage.times(15, 5)):
        for name, kind in kinds.items():
            taken[name].append(in_child(_one_call, stage, kind, folder, clip))
        taken["floor: one read of the weights"].append(in_child(_one_read, stage))
    return {"unit": "ms", **{name: clock.figure(values, 1e3) for name, values in taken.items()}}


def _one_call(stage: Stage, kind: Any, folder: Any, clip: str) -> float:
    have_memory_of_its_own(stage)
    started = time.perf_counter()
    way = kind(stage.model, folder)
    with way.on():
        way.prepare(clip)
        return time.perf_counter() - started


def have_memory_of_its_own(stage: Stage) -> None:
    """Make this a process like one that has loaded the model itself.

    A fork shares its parent's memory until one of them writes there, and using a thing counts its references, which is
    written beside it: for each page that a call comes by it would wait for a copy of the page.
    """
    gc.unfreeze()
    gc.get_referents(*gc.get_objects())
    _weights(stage.model)  # which counts references beside the tensors as well
    gc.freeze()


def _weights(model: Any) -> list[Any]:
    encoders = (model.ve, model.s3gen.tokenizer, model.s3gen.speaker_encoder)
    return [tensor for encoder in encoders for tensor in encoder.state_dict().values() if tensor.is_floating_point()]


def _one_read(stage: Stage) -> float:
    weights = _weights(stage.model)
    started = time.perf_counter()
    for tensor in weights:
        tensor.sum()
    return time.perf_counter() - started


def fingerprint(stage: Stage) -> dict[str, Any]:
    """Milliseconds of a model's fingerprint, and of other ways to read or digest the same weights."""
    return {"unit": "ms", "weights_mb": sum(t.nbytes for t in _weights(stage.model)) / 1e6, **in_child(_digests, stage)}


def _digests(stage: Stage) -> dict[str, Any]:
    import hashlib
    from contextlib import nullcontext

    import xxhash

    from chatterbox_cached.identity.weights import Fingerprint
    from chatterbox_cached.upstream.families import named

    buffers = [tensor.contiguous().reshape(-1).numpy().data for tensor in _weights(stage.model)]

    def digest(whole: Any) -> None:
        for buffer in buffers:
            whole.update(buffer)

    works = {
        "fingerprint": lambda: Fingerprint(stage.model, named("english")),
        "one read (sum)": lambda: [tensor.sum() for tensor in _weights(stage.model)],
        "XXH3": lambda: digest(xxhash.xxh3_128()),
        "SHA-256": lambda: digest(hashlib.sha256()),
    }
    timed = {name: (nullcontext, work, clock.nothing) for name, work in works.items()}
    return clock.singles(timed, rounds=stage.times(10, 3), scale=1e3)
