"""What the encoders' methods return, as it is kept and as it is given again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import Unidentifiable
from ..voice.fields import FIELDS
from ..voice.snapshot import Fields, Snapshot, copied, shared

Kept = Mapping[str, Fields]
_OF_REFERENCE = frozenset(name.removeprefix("gen.") for name in FIELDS if name.startswith("gen."))


class Results(NamedTuple):
    """The results of one method.

    ``taken`` gives detached copies of what upstream returned, by part and field, and raises Unidentifiable for what is
    not of the usual form. ``given`` makes such a result again, of tensors that are the caller's alone. ``of_voice``
    takes what the method must have returned from a whole voice, where it can be told. ``device`` is where they are, if
    not where the encoder is.
    """

    taken: Callable[[Any], Kept]
    given: Callable[[Snapshot], Any]
    of_voice: Callable[[Snapshot], Kept | None]
    device: str | None = None


def _take_reference(result: Any) -> Kept:
    if type(result) is not dict or result.keys() != _OF_REFERENCE:
        raise Unidentifiable("unexpected result")
    return {"gen": {name: None if value is None else _detached(value) for name, value in result.items()}}


def _give_reference(kept: Snapshot) -> Any:
    return _fresh(kept.parts["gen"])


def _reference_of(voice: Snapshot) -> Kept | None:
    return {"gen": voice.parts["gen"]} if "gen" in voice.parts else None


def _take_speaker(result: Any) -> Kept:
    import numpy as np
    import torch

    if type(result) is not np.ndarray or result.ndim not in (1, 2) or result.dtype.name not in ("float32", "float64"):
        raise Unidentifiable("unexpected result")
    return {"speaker": {("embed", "embeds")[result.ndim - 1]: _detached(torch.from_numpy(result))}}


def _give_speaker(kept: Snapshot) -> Any:
    (tensor,) = copied(kept.parts["speaker"]).values()  # not shared: NumPy writes to it unseen
    assert tensor is not None
    return tensor.numpy()


def _speaker_of(voice: Snapshot) -> Kept | None:
    speaker = voice.parts.get("t3", {}).get("speaker_emb")
    return None if speaker is None else {"speaker": {"embeds": speaker.cpu()}}


def _take_tokens(result: Any) -> Kept:
    if type(result) is not tuple or len(result) != 2:
        raise Unidentifiable("unexpected result")
    return {"tokens": dict(zip(("tokens", "lengths"), map(_detached, result), strict=True))}


def _give_tokens(kept: Snapshot) -> Any:
    return tuple(_fresh(kept.parts["tokens"]).values())


def _tokens_of(voice: Snapshot) -> Kept | None:
    tokens = voice.parts.get("t3", {}).get("cond_prompt_speech_tokens")
    if tokens is None:
        return None
    return {"tokens": {"tokens": tokens, "lengths": tokens.new_full((len(tokens),), tokens.shape[1])}}


REFERENCE = Results(_take_reference, _give_reference, _reference_of)
SPEAKER = Results(_take_speaker, _give_speaker, _speaker_of, "cpu")
TOKENS = Results(_take_tokens, _give_tokens, _tokens_of)


def _detached(tensor: Any) -> Any:
    import torch

    if type(tensor) is not torch.Tensor:
        raise Unidentifiable("unexpected result")
    # As in slots: outside inference mode, or the copies could never be used where gradients are on.
    with torch.inference_mode(False), torch.no_grad():
        return tensor.detach().clone()


def _fresh(fields: Fields) -> dict[str, Any]:
    import torch

    with torch.inference_mode(False):
        on_cpu = all(tensor is None or tensor.is_cpu for tensor in fields.values())
        return dict((shared if on_cpu else copied)(fields))
