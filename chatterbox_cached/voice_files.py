"""Voices as ``.pt`` files in upstream's own format, the one that ``Conditionals.save`` writes and ``load`` reads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import conditionals
from .conditionals import Fields, Snapshot
from .errors import VoiceFileError

if TYPE_CHECKING:
    import torch

_REQUIRED = {"t3": ("speaker_emb", "cond_prompt_speech_tokens"), "gen": ("prompt_token", "prompt_feat", "embedding")}
_EXPECTED = {
    "t3": {"speaker_emb", "clap_emb", "cond_prompt_speech_tokens", "cond_prompt_speech_emb", "emotion_adv"},
    "gen": {"prompt_token", "prompt_token_len", "prompt_feat", "prompt_feat_len", "embedding"},
}
# S3Gen casts these to float32 in the conditionals that it speaks from; a file that was saved after that has them so.
_TOKENS = frozenset({"cond_prompt_speech_tokens", "prompt_token", "prompt_token_len", "prompt_feat_len"})
# Not part of a voice: made by one T3 from its own weights, and the exaggeration, which is applied at use.
_LEFT_OUT = frozenset({"cond_prompt_speech_emb", "emotion_adv"})


def write(path: Path, snapshot: Snapshot, exaggeration: object) -> None:
    """Write ``snapshot`` with ``exaggeration`` to ``path``, whole or not at all."""
    import torch

    t3 = {**snapshot.t3, "cond_prompt_speech_emb": None, "emotion_adv": conditionals.emotion_adv(exaggeration, "cpu")}
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        torch.save({"t3": _copied(t3), "gen": _copied(snapshot.gen)}, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _copied(fields: Fields) -> dict[str, torch.Tensor | None]:
    """Copies, since to read the kept ones as torch.save does is taken for a write and ends their sharing."""
    return {name: None if value is None else value.clone() for name, value in fields.items()}


def read(path: Path, device: str | torch.device) -> Snapshot:
    """The voice in a ``.pt`` file, its tensors on ``device``. Nothing in the file is ever unpickled as code.

    Raises OSError when it can't be read and VoiceFileError when it holds something else.
    """
    import torch

    with path.open("rb"):
        pass  # so that a missing file is an OSError of its own
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise VoiceFileError(f"{path} can't be read as conditionals: it is damaged, or no .pt file.") from error
    parts = {part: _fields(path, content, part) for part in ("t3", "gen")}
    return Snapshot(parts["t3"], parts["gen"], prepare_seconds=0.0)


def _fields(path: Path, content: Any, part: str) -> dict[str, Any]:
    import torch

    fields = content.get(part) if isinstance(content, dict) else None
    if not isinstance(fields, dict) or not set(fields) <= _EXPECTED[part]:
        raise VoiceFileError(f"{path} holds no conditionals: {part!r} is missing or has unknown fields.")
    for name in _REQUIRED[part]:
        if not isinstance(fields.get(name), torch.Tensor):
            raise VoiceFileError(f"{path} holds no conditionals: {part}.{name} is missing.")
    kept = {name: value for name, value in fields.items() if name not in _LEFT_OUT}
    if not all(value is None or isinstance(value, torch.Tensor) for value in kept.values()):
        raise VoiceFileError(f"{path} holds no conditionals: something in {part!r} is not a tensor.")
    return {name: _restored(name, value) for name, value in kept.items()}


def _restored(name: str, value: torch.Tensor | None) -> torch.Tensor | None:
    if value is None:
        return None
    return value.detach().long() if name in _TOKENS else value.detach()
