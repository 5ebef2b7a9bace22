"""Live conditionals and the detached snapshots that are kept of them.

Models for texts have ``Conditionals`` in their slot: a T3Cond, and the dict that S3Gen speaks from. One that converts
speech has such a dict alone.

Upstream writes into the conditionals it is given and its tensors hold on to an autograd graph, so nothing live is ever
kept and nothing kept is ever handed out: a snapshot is taken right after a preparation, and every hit gets containers
and tensors of its own. The exaggeration is applied here: it reaches ``emotion_adv`` and nothing else, so a snapshot is
without it and serves every exaggeration.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import EntryError, Unidentifiable
from ..voice.snapshot import Snapshot, copied, same_tensors, shared
from .families import Family, types_of

if TYPE_CHECKING:
    import torch

_EMOTION = "emotion_adv"
# Made by T3's prepare_conditioning with that one T3's weights and left in the T3Cond; never part of a voice.
_DERIVED = "cond_prompt_speech_emb"


def held(model: Any, family: Family) -> Any:
    """The conditionals that ``model`` has now; None for none."""
    return getattr(model, family.slot, None)


def hold(model: Any, family: Family, conditionals: Any) -> None:
    """Give ``model`` these conditionals, where upstream would have put its own."""
    setattr(model, family.slot, conditionals)


def take(live: Any, family: Family, emotion: torch.Tensor, prepare_seconds: float, origin: str = "") -> Snapshot:
    """A detached copy of what upstream has just prepared, with what ``emotion_adv`` gave for its arguments.

    Raises Unidentifiable when it is not what a Chatterbox makes, so that it would not come back the same.
    """
    snapshot = copy_of(live, family, emotion, prepare_seconds, origin)
    if snapshot.flaw() is not None:
        raise Unidentifiable("unexpected conditionals")  # it would not be believed when it comes back
    if any(tensor.device != emotion.device for tensor in snapshot.tensors().values()):
        raise Unidentifiable("conditionals on several devices")
    return snapshot


def copy_of(
    live: Any, family: Family, emotion: torch.Tensor | None, prepare_seconds: float = 0.0, origin: str = ""
) -> Snapshot:
    """The same of conditionals that may have been spoken with, which changes the types of some fields."""
    parts = _of_conditionals(live, emotion) if family.speaks_texts else _of_dict(live)
    return Snapshot({part: _detached(fields) for part, fields in parts.items()}, prepare_seconds, origin)


def _of_conditionals(live: Any, emotion: torch.Tensor | None) -> dict[str, dict[str, Any]]:
    t3 = dict(vars(live.t3))
    if (
        not same_tensors(t3.pop(_EMOTION, None), emotion)
        or t3.pop(_DERIVED, None) is not None
        or vars(live).keys() != {"t3", "gen"}
    ):
        raise Unidentifiable("unexpected conditionals")
    return {"t3": t3, "gen": live.gen}


def _of_dict(live: Any) -> dict[str, dict[str, Any]]:
    if type(live) is not dict:
        raise Unidentifiable("unexpected conditionals")
    return {"gen": live}


def without_derived(t3: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a T3Cond as they were before T3 spoke with it."""
    return {**t3, _DERIVED: None}


def fits(snapshot: Snapshot, family: Family) -> bool:
    """Whether this is a voice such as the models of the family take."""
    return snapshot.parts.keys() == family.parts


def revive(snapshot: Snapshot, model: Any, family: Family, emotion: torch.Tensor) -> Any:
    """Fresh live conditionals of the classes that ``model`` makes them of, as upstream would have made them.

    Raises EntryError for a voice such as other models take.
    """
    if not fits(snapshot, family):
        raise EntryError("entry holds a voice for other models")
    fresh = shared if emotion.is_cpu else copied
    gen = fresh(snapshot.parts["gen"])
    if "t3" not in snapshot.parts:
        return gen
    kind: Any = type(model)
    conditionals, t3_cond = types_of(kind, family)
    return conditionals(t3_cond(**fresh({**snapshot.parts["t3"], _EMOTION: emotion})), gen)


def speaks_with(conditionals: Any, exaggeration: Any) -> bool:
    """Whether these conditionals, of a model for texts, are as for this exaggeration; also where that can't be told."""
    import torch

    emotion = getattr(getattr(conditionals, "t3", None), _EMOTION, None)
    try:
        return emotion is None or torch.equal(emotion, torch.full_like(emotion, float(exaggeration)))
    except (TypeError, ValueError, RuntimeError):
        return True


def emotion_adv(exaggeration: Any, device: str | torch.device) -> torch.Tensor:
    """Upstream's own expression for the exaggeration: (1, 1, 1), in PyTorch's default dtype, on ``device``.

    It may be kept for the next call, so it is given away by ``revive`` alone.
    Raises Unidentifiable when that makes no tensor of it.
    """
    import torch

    if type(exaggeration) is float and -60000 < exaggeration < 60000:  # within the range of every dtype
        # The same bits in a tenth of the time. The sign tells 0.0 from -0.0, which are equal.
        kept = _kept_emotion(exaggeration, math.copysign(1, exaggeration), torch.get_default_dtype())
        return kept if device == "cpu" else kept.to(device=device)
    try:
        made = exaggeration * torch.ones(1, 1, 1)
    except Exception as error:
        raise Unidentifiable("exaggeration is not a number") from error
    if not isinstance(made, torch.Tensor):
        raise Unidentifiable("exaggeration is not a number")
    return made.to(device=device)


@functools.lru_cache(maxsize=64)
def _kept_emotion(exaggeration: float, sign: float, dtype: torch.dtype) -> torch.Tensor:
    import torch

    with torch.inference_mode(False):
        kept = torch.full((1, 1, 1), exaggeration, dtype=dtype, device="cpu")
    shared({_EMOTION: kept})  # the first time, as in Snapshot
    return kept


def _detached(fields: Mapping[str, Any]) -> dict[str, torch.Tensor | None]:
    import torch

    if not all(value is None or type(value) is torch.Tensor for value in fields.values()):
        raise Unidentifiable("unexpected conditionals")
    # Outside inference mode, or the copies could never be used where gradients are on.
    with torch.inference_mode(False), torch.no_grad():
        return {name: None if value is None else value.detach().clone() for name, value in fields.items()}
