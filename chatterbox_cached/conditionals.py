"""Live ``Conditionals`` and the detached snapshots that are kept of them.

Upstream writes into the conditionals it is given and its tensors hold on to an autograd graph, so nothing live is ever
kept and nothing kept is ever handed out: a snapshot is taken right after a preparation, and every hit gets containers
and tensors of its own. The exaggeration is applied here: it reaches ``emotion_adv`` and nothing else, so a snapshot is
without it and serves every exaggeration.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import Unidentifiable
from .expected import flaw
from .families import FIELDS, Family

if TYPE_CHECKING:
    import torch

_EMOTION = "emotion_adv"
# Made by T3's prepare_conditioning with that one T3's weights and left in the T3Cond; never part of a voice.
_DERIVED = "cond_prompt_speech_emb"

Fields = Mapping[str, "torch.Tensor | None"]


@dataclass(frozen=True)
class Snapshot:
    """What was prepared of one voice, for any exaggeration.

    ``t3``: speaker_emb (1, 256) float32 and cond_prompt_speech_tokens (1, 150) int64. ``gen``: prompt_token (1, 250)
    and prompt_token_len (1,) int64, prompt_feat (1, 500, 80) and embedding (1, 192) float32. The rest is None. Shapes
    as measured for clips of 10 s and more. ``prepare_seconds``: what the preparation took.
    """

    t3: Fields
    gen: Fields
    prepare_seconds: float

    def __post_init__(self) -> None:
        # The first time that memory is shared changes how it is held, and no two threads may do that at once. So it is
        # done here, before anybody else knows of the tensors.
        if all(tensor.is_cpu for tensor in self.tensors().values()):
            _shared(self.t3)
            _shared(self.gen)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def names(self) -> list[str]:
        """All fields by dotted name, those that are None too."""
        return [f"t3.{name}" for name in self.t3] + [f"gen.{name}" for name in self.gen]

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors by dotted name, such as ``gen.prompt_feat``."""
        both = (("t3", self.t3), ("gen", self.gen))
        return {
            f"{part}.{name}": tensor for part, fields in both for name, tensor in fields.items() if tensor is not None
        }

    def to(self, device: str | torch.device) -> Snapshot:
        """The same snapshot with its tensors on ``device``; this very one where they are on the CPU and stay there."""
        if str(device) == "cpu" and all(tensor.is_cpu for tensor in self.tensors().values()):
            return self
        return Snapshot(_moved(self.t3, device), _moved(self.gen, device), self.prepare_seconds)


def take(live: Any, emotion: torch.Tensor, prepare_seconds: float) -> Snapshot:
    """A detached copy of what upstream has just prepared, with what ``emotion_adv`` gave for its arguments.

    Raises Unidentifiable when it is not what a Chatterbox makes, so that it would not come back the same.
    """
    t3 = dict(vars(live.t3))
    if (
        not _same(t3.pop(_EMOTION, None), emotion)
        or t3.pop(_DERIVED, None) is not None
        or vars(live).keys() != {"t3", "gen"}
    ):
        raise Unidentifiable("unexpected conditionals")
    snapshot = Snapshot(_detached(t3), _detached(live.gen), prepare_seconds)
    if set(snapshot.names()) != FIELDS.keys() or flaw(snapshot.tensors()) is not None:
        raise Unidentifiable("unexpected conditionals")  # it would not be believed when it comes back
    if any(tensor.device != emotion.device for tensor in snapshot.tensors().values()):
        raise Unidentifiable("conditionals on several devices")
    return snapshot


def revive(snapshot: Snapshot, family: Family, emotion: torch.Tensor) -> Any:
    """Fresh live ``Conditionals`` of the family's own classes, as upstream would have made them."""
    conditionals, t3_cond = family.types()
    fields = {**snapshot.t3, _EMOTION: emotion}
    if emotion.is_cpu:
        t3, gen = _shared(fields), _shared(snapshot.gen)
    else:
        t3, gen = _copied(fields), _copied(snapshot.gen)
    return conditionals(t3_cond(**t3), gen)


def emotion_adv(exaggeration: Any, device: str | torch.device) -> torch.Tensor:
    """Upstream's own expression for the exaggeration: (1, 1, 1), in PyTorch's default dtype, on ``device``.

    It may be kept for the next call, so nobody is given it but by ``revive``.
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
    _shared({_EMOTION: kept})  # the first time, as in Snapshot
    return kept


def equal(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots are the same bit for bit, in values, shapes, types and layout."""
    return not differing(one, other)


def differing(one: Snapshot, other: Snapshot) -> tuple[str, ...]:
    """The dotted names of the fields in which two snapshots are not the same bit for bit."""
    left, right = one.tensors(), other.tensors()
    return tuple(name for name in {**left, **right} if not _same(left.get(name), right.get(name)))


def _shared(fields: Fields) -> dict[str, torch.Tensor | None]:
    """Tensors on the CPU that share nothing with the kept ones, as far as anybody can tell.

    PyTorch shares the memory until somebody writes to it.
    """
    import torch

    try:
        share = torch._lazy_clone  # not a public function, so it may go, or refuse some memory
        return {name: None if kept is None else share(kept) for name, kept in fields.items()}
    except (AttributeError, RuntimeError):
        return _copied(fields)


def _copied(fields: Fields) -> dict[str, torch.Tensor | None]:
    """Copies, made in the order of the stream that is going to use them."""
    return {name: None if kept is None else kept.clone() for name, kept in fields.items()}


def _detached(fields: Mapping[str, Any]) -> dict[str, torch.Tensor | None]:
    import torch

    if not all(value is None or type(value) is torch.Tensor for value in fields.values()):
        raise Unidentifiable("unexpected conditionals")
    # Outside inference mode, or the copies could never be used where gradients are on.
    with torch.inference_mode(False), torch.no_grad():
        return {name: None if value is None else value.detach().clone() for name, value in fields.items()}


def _moved(fields: Fields, device: str | torch.device) -> dict[str, torch.Tensor | None]:
    return {name: None if value is None else value.to(device) for name, value in fields.items()}


def _same(one: Any, other: Any) -> bool:
    import torch

    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return False
    alike = (one.dtype, one.shape, one.stride(), one.device) == (other.dtype, other.shape, other.stride(), other.device)
    return alike and torch.equal(one, other)
