"""The fields of a voice, and whether some are such as upstream makes them, before they reach a model.

What a model makes of other shapes, of NaN or of tokens beyond its vocabulary is its own affair: an error in the middle
of a generation at best, and a process whose GPU is lost at worst.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# The most speech tokens, or mel frames, that any field can have: far more than the longest prompt makes (500 frames).
_MOST = 2**16
_SPEECH_TOKENS = 6561  # S3's vocabulary; a larger number is an index out of range, which on a GPU ends the process


@dataclass(frozen=True)
class Field:
    """What upstream makes of one field of its conditionals: ``shape`` as (least, most) per axis.

    ``below`` is set for whole numbers from 0 to less than that; the others are finite floats of any precision.
    """

    shape: tuple[tuple[int, int], ...]
    below: int | None = None


Form = Mapping[str, "Field | None"]
# A voice that texts are spoken with has these and no others, whatever the family; None for those that upstream leaves
# empty. What it names besides is no part of a voice (cond_prompt_speech_emb, emotion_adv).
FIELDS: Form = {
    "t3.speaker_emb": Field(((1, 1), (256, 256))),
    "t3.clap_emb": None,
    "t3.cond_prompt_speech_tokens": Field(((1, 1), (0, _MOST)), below=_SPEECH_TOKENS),
    "gen.prompt_token": Field(((1, 1), (0, _MOST)), below=_SPEECH_TOKENS),
    "gen.prompt_token_len": Field(((1, 1),), below=_MOST + 1),
    "gen.prompt_feat": Field(((1, 1), (0, _MOST), (80, 80))),
    "gen.prompt_feat_len": None,
    "gen.embedding": Field(((1, 1), (192, 192))),
}
# A voice that speech is converted to: it has no T3.
REFERENCE: Form = {name: field for name, field in FIELDS.items() if name.startswith("gen.")}
# What is kept of single calls of the encoders; the last three of any number of clips.
_CLIPS = (1, 2**10)
PARTS: tuple[Form, ...] = (
    REFERENCE,
    {"speaker.embed": Field(((1, 2**12),))},
    {"speaker.embeds": Field((_CLIPS, (1, 2**12)))},
    {
        "tokens.tokens": Field((_CLIPS, (0, _MOST)), below=_SPEECH_TOKENS),
        "tokens.lengths": Field((_CLIPS,), below=_MOST + 1),
    },
)
_LENGTHS_OF = {"gen.prompt_token_len": "gen.prompt_token", "tokens.lengths": "tokens.tokens"}


def form_of(names: Collection[str]) -> Form | None:
    """The form that has the fields of these names and no others: a voice's, or a part's; None where there is none."""
    return next((form for form in (FIELDS, *PARTS) if form.keys() == set(names)), None)


def flaw(fields: Mapping[str, Any], form: Form = FIELDS) -> str | None:
    """What is wrong with the fields of one voice, given by dotted name; None for such as upstream makes."""
    if said := flaw_of_form(fields, form):
        return said
    for name, field in form.items():
        if field is not None and (said := _flaw_of_values(name, field, fields[name])):
            return said
    for lengths, tokens in _LENGTHS_OF.items():
        if lengths in form and (fields[lengths] > fields[tokens].shape[1]).any():
            return f"{lengths} is more than there are tokens"
    return None


def flaw_of_form(fields: Mapping[str, Any], form: Form = FIELDS) -> str | None:
    """The same without a look at types and values: whatever passes takes little memory to copy.

    A tensor's shape says nothing of what it occupies: a single number can be strided into any number of them.
    """
    for name, value in fields.items():
        if name not in form:  # upstream would be handed it, and may make anything of it
            return f"{name} is no field of a voice"
        if form[name] is None and value is not None:
            return f"{name} is not empty"
    for name, field in form.items():
        if field is not None and (said := _flaw_of_form(name, field, fields.get(name))):
            return said
    return None


def _flaw_of_form(name: str, field: Field, value: Any) -> str | None:
    import torch

    if value is None:
        return f"{name} is missing"
    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided or value.is_meta:
        return f"{name} is no tensor of the usual kind"
    if not _fits(value.shape, field):
        return f"{name} has the shape {tuple(value.shape)}"
    return None


def _fits(shape: torch.Size, field: Field) -> bool:
    return len(shape) == len(field.shape) and all(
        least <= size <= most for size, (least, most) in zip(shape, field.shape, strict=True)
    )


def _flaw_of_values(name: str, field: Field, value: torch.Tensor) -> str | None:
    import torch

    if value.dtype not in (_floats() if field.below is None else (torch.int64, torch.int32)):
        return f"{name} has the type {value.dtype}"
    if value.numel() == 0:
        return None
    # One pass and no copy: NaN comes through to both, and nothing is beyond an infinity.
    least, most = (each.item() for each in in_memory_order(value).aminmax())
    if not (math.isfinite(least) and math.isfinite(most)):
        return f"{name} has a value that is not finite"
    if field.below is not None and not 0 <= least <= most < field.below:
        return f"{name} has a value that is out of range"
    return None


def _floats() -> tuple[torch.dtype, ...]:
    import torch

    return torch.float32, torch.float16, torch.bfloat16, torch.float64


def axes_in_memory(strides: Sequence[int]) -> list[int]:
    """The axes in the order in which they lie in memory, the slowest first."""
    return sorted(range(len(strides)), key=lambda axis: (-strides[axis], axis))


def in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor with its axes in that order, so that a loop through all of it need not jump about."""
    return tensor.permute(axes_in_memory(tensor.stride()))
