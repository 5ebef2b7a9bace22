"""Upstream's own preparation, run for one call, and what it has made."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..concurrency.turns import watch
from ..errors import Unidentifiable
from ..voice.snapshot import Snapshot
from . import slots
from .calls import Preparation
from .context import doing

if TYPE_CHECKING:
    import torch


class Run(NamedTuple):
    """A preparation that upstream has made for ``call``: what its method returned, and how long it took.

    ``before``: the conditionals that the model had.
    ``undisturbed()`` says whether no other thread has run on the model out of turn since it began.
    """

    call: Preparation
    before: Any
    returned: Any
    seconds: float
    undisturbed: Callable[[], bool]

    def snapshot(
        self, emotion: torch.Tensor, audio_unchanged: Callable[[], bool], seconds: float, origin: str
    ) -> Snapshot:
        """What is to be kept of it. ``emotion`` is the call's emotion_adv, ``seconds`` and ``origin`` as in Snapshot.

        Raises Unidentifiable where it may not be what the call stands for.
        """
        held = slots.held(self.call.model, self.call.family)
        if held is self.before:
            raise Unidentifiable("the preparation left the conditionals as they were")
        snapshot = slots.take(held, self.call.family, emotion, seconds, origin)
        if not self.undisturbed():  # another generate() may have put the speaker of its own voice there
            raise Unidentifiable("another call was on the model")
        if not audio_unchanged():
            raise Unidentifiable("audio changed during the preparation")
        return snapshot


def without_graph(upstream: Callable[[], Any]) -> Any:
    """What ``upstream`` gives, run so that the conditionals which it makes don't hold on to a graph of 290 MB."""
    import torch

    with torch.no_grad():
        return upstream()


def is_to_come(returned: Any) -> bool:
    """Whether what a method returned is yet to do its work: a coroutine, or a generator."""
    return isinstance(returned, (CoroutineType, GeneratorType, AsyncGeneratorType))


def run(call: Preparation) -> Run:
    """Have upstream prepare. Raises what upstream raises."""
    undisturbed, before, started = watch(call.model), slots.held(call.model, call.family), time.perf_counter()
    with doing("prepare", call.model):
        returned = without_graph(call.upstream)
    return Run(call, before, returned, time.perf_counter() - started, undisturbed)
