"""Upstream's own preparation, run for one call, and what it has made."""

from __future__ import annotations

import time
from collections.abc import Callable
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

    ``undisturbed()`` says whether no other thread has run on the model out of turn since it began.
    """

    call: Preparation
    returned: Any
    seconds: float
    undisturbed: Callable[[], bool]

    def snapshot(self, emotion: torch.Tensor, audio_unchanged: Callable[[], bool]) -> Snapshot:
        """What is to be kept of it. ``emotion`` is the call's emotion_adv.

        Raises Unidentifiable where it may not be what the call stands for.
        """
        snapshot = slots.take(slots.held(self.call.model, self.call.family), emotion, self.seconds)
        if not self.undisturbed():  # another generate() may have put the speaker of its own voice there
            raise Unidentifiable("another call was on the model")
        if not audio_unchanged():
            raise Unidentifiable("audio changed during the preparation")
        return snapshot


def run(call: Preparation) -> Run:
    """Have upstream prepare. Raises what upstream raises."""
    import torch

    undisturbed, started = watch(call.model), time.perf_counter()
    # Upstream prepares with gradients on, and 290 MB of graph would stay alive with each voice.
    with doing("prepare", call.model), torch.no_grad():
        returned = call.upstream()
    return Run(call, returned, time.perf_counter() - started, undisturbed)
