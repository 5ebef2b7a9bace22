"""Making a voice and keeping it: upstream's preparation, misses and hits, the fingerprint, memory, repeatability."""

from __future__ import annotations

import functools
import gc
import time
from contextlib import nullcontext
from importlib import import_module
from operator import attrgetter
from typing import Any

from chatterbox_cached.identity.weights import Fingerprint
from chatterbox_cached.upstream.families import Family, family_of

from .. import clock, ways
from ..parts.room import resident
from .sameness import SecondProcess, digests, expect, same
from .stand import Stand, prepare

Figures = dict[str, Any]
_WORKS = dict[str, tuple[clock.Around, clock.Work, clock.Work]]
_PAUSE = 0.02  # after which the weights are looked at in full, as after a generation


def preparation(stand: Stand, model: Any) -> Figures:
    """Milliseconds of one call."""
    clip = stand.clip()
    call = stand.settled(lambda: prepare(model, clip))
    way = ways.Enabled(model, stand.new_folder())
    with way.on():
        call()
    slow: _WORKS = {
        "upstream alone": (nullcontext, call, clock.nothing),
        "miss": (way.on, call, way.forget_all),
    }
    quick: _WORKS = {
        "memory hit": (way.on, call, call),
        "memory hit after a pause": (way.on, call, functools.partial(time.sleep, _PAUSE)),
        "disk hit": (way.on, call, way.forget),
    }
    rounds, calls = stand.sizes.rounds, 3
    figures = {
        **clock.singles(slow, rounds=rounds, scale=1e3),
        **clock.singles(quick, rounds=rounds, scale=1e3, calls=calls),
    }
    expect(way, misses=1 + rounds, disk_hits=rounds * calls)
    return {**figures, **_encoders_seam(stand, model, way, clip)}


def _encoders_seam(stand: Stand, model: Any, way: ways.Enabled, clip: str) -> Figures:
    """A preparation in a program's own code, without the cache and with it, and the part that no cache can spare."""
    own = stand.settled(lambda: own_preparation(model, clip))
    works: _WORKS = {
        "a program's own preparation, upstream alone": (nullcontext, own, clock.nothing),
        "a program's own preparation, with the cache": (way.on, own, own),
        "of it decoding and resampling": (nullcontext, lambda: _decoded(clip), clock.nothing),
    }
    return clock.singles(works, rounds=stand.sizes.rounds, scale=1e3)


def own_preparation(model: Any, clip: str) -> tuple[Any, Any, Any]:
    """What programs with a preparation of their own do: they decode, resample, and call the encoders."""
    torch = import_module("torch")
    at_24k, at_16k = _decoded(clip)
    gen = model.s3gen.embed_ref(at_24k[: model.DEC_COND_LEN], 24_000, device=model.device)
    length = model.t3.hp.speech_cond_prompt_len
    tokens, _ = model.s3gen.tokenizer.forward([at_16k[: model.ENC_COND_LEN]], max_len=length)
    speaker = torch.from_numpy(model.ve.embeds_from_wavs([at_16k], sample_rate=16_000)).to(model.device)
    return gen, tokens, speaker


def _decoded(clip: str) -> tuple[Any, Any]:
    librosa = import_module("librosa")
    at_24k, _ = librosa.load(clip, sr=24_000)
    return at_24k, librosa.resample(at_24k, orig_sr=24_000, target_sr=16_000)


def fingerprint(stand: Stand, model: Any) -> Figures:
    """Milliseconds of the digest of the weights, and of the least that there is to do for it."""
    family = _family(model)
    encoders = [attrgetter(path)(model) for path in family.encoders]
    weights = [tensor for encoder in encoders for tensor in encoder.state_dict().values()]
    works = {
        "fingerprint": lambda: Fingerprint(model, family),
        "the weights copied to the host": lambda: [tensor.cpu() for tensor in weights],
        "the weights read where they are": lambda: [tensor.sum() for tensor in weights],
    }
    timed: _WORKS = {name: (nullcontext, stand.settled(work), clock.nothing) for name, work in works.items()}
    figures = clock.singles(timed, rounds=stand.sizes.rounds, scale=1e3)
    return {**figures, "weights (MB)": sum(tensor.nbytes for tensor in weights) / 1e6}


def _family(model: Any) -> Family:
    family = family_of(model)
    assert family is not None
    return family


def memory(stand: Stand, model: Any) -> Figures:
    """Megabytes that each voice of a server holds on the device, as upstream leaves it and as the cache keeps it."""
    model.conds = None
    prepare(model, stand.clip())  # so that what the device's libraries keep for themselves is there
    model.conds = None
    before = _held(stand)
    kept = [prepare(model, stand.clip(seed)) for seed in range(stand.sizes.voices)]
    model.conds = None
    live = _held(stand) - before
    kept.clear()
    way = ways.Enabled(model, stand.new_folder())
    before = _held(stand)
    with way.on():
        for seed in range(stand.sizes.voices):
            prepare(model, stand.clip(seed))
        model.conds = None
        cached = _held(stand) - before
    each = stand.sizes.voices * 1e6
    return {"upstream's conditionals, kept as they are": live / each, "kept by the cache": cached / each}


def _held(stand: Stand) -> int:
    gc.collect()
    stand.settle()
    on_gpu = stand.device.startswith("cuda")
    return import_module("torch").cuda.memory_allocated() if on_gpu else resident()


def repeatable(stand: Stand, model: Any) -> Figures:
    """Whether upstream's preparation gives the same bits again in this process."""
    runs = [[digests(prepare(model, stand.clip(seed))) for seed in range(2)] for _ in range(2)]
    return {f"voice {number}": same(one, other) for number, (one, other) in enumerate(zip(*runs, strict=True), 1)}


def in_two_processes(stand: Stand, model: Any, kind: str, second: SecondProcess) -> Figures:
    """Whether it gives the same bits in another process with the same weights."""
    found = second.found(kind)
    return {f"voice {seed + 1}": same(found[seed], digests(prepare(model, stand.clip(seed)))) for seed in range(2)}
