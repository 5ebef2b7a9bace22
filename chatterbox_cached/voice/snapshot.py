"""What is kept of one voice: detached tensors, in parts and fields as upstream has them, without an exaggeration.

Nothing kept is ever handed out: each user gets tensors of its own, by ``shared`` or ``copied``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .fields import flaw, form_of

if TYPE_CHECKING:
    import torch

Fields = Mapping[str, "torch.Tensor | None"]


@dataclass(frozen=True)
class Snapshot:
    """What was prepared of one voice, for any exaggeration.

    ``parts``: the fields by the name of the part that they are in; their names, shapes and types are those of
    ``voice.fields``. ``prepare_seconds``: what the preparation took. ``origin``: where it was made (see
    identity.origin), as JSON text; empty where that is not known.
    """

    parts: Mapping[str, Fields]
    prepare_seconds: float
    origin: str = ""

    def __post_init__(self) -> None:
        # The first time that memory is shared changes how it is held, and no two threads may do that at once. So it is
        # done here, before another thread can know of the tensors.
        if all(tensor.is_cpu for tensor in self.tensors().values()):
            for fields in self.parts.values():
                shared(fields)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def names(self) -> list[str]:
        """All fields by dotted name, those that are None too."""
        return [f"{part}.{name}" for part, fields in self.parts.items() for name in fields]

    def flaw(self) -> str | None:
        """What is wrong with it; None for a voice, or a part of one, such as upstream makes."""
        form = form_of(self.names())
        return "it has the fields of no voice" if form is None else flaw(self.tensors(), form)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors by dotted name, such as ``gen.prompt_feat``."""
        return {
            f"{part}.{name}": tensor
            for part, fields in self.parts.items()
            for name, tensor in fields.items()
            if tensor is not None
        }

    def to(self, device: str | torch.device) -> Snapshot:
        """The same snapshot with its tensors on ``device``; this very one where they are on the CPU and stay there."""
        if str(device) == "cpu" and all(tensor.is_cpu for tensor in self.tensors().values()):
            return self
        moved = {part: _moved(fields, device) for part, fields in self.parts.items()}
        return Snapshot(moved, self.prepare_seconds, self.origin)


def equal(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots are the same bit for bit, in values, shapes, types and layout."""
    return not differing(one, other)


def differing(one: Snapshot, other: Snapshot) -> tuple[str, ...]:
    """The dotted names of the fields in which two snapshots are not the same bit for bit."""
    left, right = one.tensors(), other.tensors()
    return tuple(name for name in {**left, **right} if not same_tensors(left.get(name), right.get(name)))


def same_tensors(one: Any, other: Any) -> bool:
    """Whether both are tensors, and the same in values, shape, type, layout and device."""
    import torch

    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return False
    alike = (one.dtype, one.shape, one.stride(), one.device) == (other.dtype, other.shape, other.stride(), other.device)
    return alike and torch.equal(one, other)


def shared(fields: Fields) -> dict[str, torch.Tensor | None]:
    """Tensors on the CPU that share nothing with the kept ones, as far as their user can tell.

    PyTorch shares the memory until one of its users writes to it.
    """
    import torch

    if not _lazy_clones_hold():
        return copied(fields)
    try:
        share = torch._lazy_clone  # not a public function, so it may go, or refuse some memory
        return {name: None if kept is None else share(kept) for name, kept in fields.items()}
    except (AttributeError, RuntimeError):
        return copied(fields)


@lru_cache(maxsize=1)
def _lazy_clones_hold() -> bool:
    """Whether this PyTorch lets a program resize its lazy clones: with 2.14 the first write after it fails."""
    import torch

    try:
        torch._lazy_clone(torch.zeros(1, device="cpu")).resize_(2).zero_()
    except (AttributeError, RuntimeError):
        return False
    return True


def copied(fields: Fields) -> dict[str, torch.Tensor | None]:
    """Copies, made in the order of the stream that is going to use them.

    For what reads memory as NumPy does as well: it is taken for a write, and ends the sharing of what is kept.
    """
    return {name: None if kept is None else kept.clone() for name, kept in fields.items()}


def _moved(fields: Fields, device: str | torch.device) -> dict[str, torch.Tensor | None]:
    return {name: None if value is None else value.to(device) for name, value in fields.items()}
