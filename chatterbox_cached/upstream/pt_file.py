"""Voices as ``.pt`` files in upstream's own format, the one that ``Conditionals.save`` writes and ``load`` reads.

A voice that speech is converted to is the part of it that ``ChatterboxVC.from_local`` reads.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import VoiceFileError
from ..voice.fields import FIELDS, REFERENCE, flaw, flaw_of_form
from ..voice.snapshot import Snapshot, copied
from . import pt_archive, slots

if TYPE_CHECKING:
    import torch

_EXPECTED = {part: [name.split(".")[1] for name in FIELDS if name.startswith(f"{part}.")] for part in ("t3", "gen")}
# Not part of a voice: made by one T3 from its own weights, and the exaggeration, which is applied at use.
_LEFT_OUT = {"t3": {"cond_prompt_speech_emb", "emotion_adv"}, "gen": set[str]()}
# S3Gen casts these to float32 in the conditionals that it speaks from; a file that was saved after that has them so.
_TOKENS = frozenset({"cond_prompt_speech_tokens", "prompt_token", "prompt_token_len"})


def write(path: Path, snapshot: Snapshot, exaggeration: object) -> None:
    """Write ``snapshot`` with ``exaggeration`` to ``path``, whole or not at all."""
    import torch

    parts = {part: copied(fields) for part, fields in snapshot.parts.items()}
    if "t3" in parts:
        emotion = slots.emotion_adv(exaggeration, "cpu")
        parts["t3"] |= copied({"cond_prompt_speech_emb": None, "emotion_adv": emotion})
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        torch.save(parts, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, device: str | torch.device) -> Snapshot:
    """The voice in a ``.pt`` file, its tensors on ``device``. Nothing in the file is ever unpickled as code.

    Raises OSError when it can't be read and VoiceFileError when it holds something else.
    """
    try:
        content = _loaded(pt_archive.read(path))
    except (OSError, VoiceFileError):
        raise
    except Exception as error:
        raise VoiceFileError(f"{path} can't be read as conditionals: it is damaged, or no .pt file.") from error
    form = REFERENCE if isinstance(content, dict) and "t3" not in content else FIELDS
    parts = {part: _fields(path, content, part) for part in _EXPECTED if part == "gen" or form is FIELDS}
    _refuse(path, flaw_of_form(_by_dotted_name(parts), form))
    restored = {
        part: {name: _restored(name, value) for name, value in fields.items()} for part, fields in parts.items()
    }
    _refuse(path, flaw(_by_dotted_name(restored), form))
    return Snapshot(restored, prepare_seconds=0.0).to(device)


def _loaded(archive: bytes) -> Any:
    """What torch.load makes of it, from a copy of our own that no other process can change meanwhile.

    Mapped, since only then torch.load looks at whether a tensor lies within the file: else one that says that it is
    larger than it is goes on into whatever else this process has in memory.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="chatterbox-cached-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder, "voice.pt")
        copy.write_bytes(archive)
        return torch.load(copy, map_location="cpu", weights_only=True, mmap=True)


def _fields(path: Path, content: Any, part: str) -> dict[str, Any]:
    """The fields of one part that belong to a voice, those that are empty too, which may be missing in the file."""
    fields = content.get(part) if isinstance(content, dict) else None
    if type(fields) is not dict or not fields.keys() <= {*_EXPECTED[part], *_LEFT_OUT[part]}:
        raise VoiceFileError(f"{path} holds no conditionals: {part!r} is missing or has unknown fields.")
    return {name: fields.get(name) for name in _EXPECTED[part]}


def _by_dotted_name(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{part}.{name}": value for part, fields in parts.items() for name, value in fields.items()}


def _refuse(path: Path, said: str | None) -> None:
    if said is not None:
        raise VoiceFileError(f"{path} holds no conditionals: {said}.")


def _restored(name: str, value: torch.Tensor | None) -> torch.Tensor | None:
    """A copy, so that nothing of the file stays mapped."""
    if value is None:
        return None
    value = value.detach()
    return value.long().clone() if name in _TOKENS else value.clone()
