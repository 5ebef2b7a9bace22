"""A Hugging Face hub cache of random weights, from which an unmodified ``from_pretrained`` loads."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .rehearsal import Parts, build_parts, english, multilingual, reference_clip
from .tokenizers import KINDS, Kind, snapshot


def hub_folder(
    path: str | Path, *, layers: int = 2, models: Iterable[str] = ("english",), parts: Parts | None = None
) -> Path:
    """Write a new Hugging Face hub cache from which ``from_pretrained`` of ``models`` loads; 1.3 GB for each model.

    To be used with ``HF_HUB_CACHE=<path>`` and ``HF_HUB_OFFLINE=1``. With fewer layers than upstream's 30 the process
    that loads it calls ``shortening.shorten`` first. ``parts``, on the CPU, are those to write.
    """
    build, parts = {"english": english, "multilingual": multilingual}, parts or build_parts()
    folder = snapshot(Path(path))
    for name in models:
        model = build[name](layers=layers, parts=parts)
        _write_weights(folder, KINDS[name], model)
        _write_builtin_voice(folder, model)
    return Path(path)


def _write_weights(snapshot: Path, kind: Kind, model: Any) -> None:
    for file, part in zip(kind.weights, (model.t3, model.ve, model.s3gen), strict=True):
        if file.endswith(".pt"):
            import_module("torch").save(part.state_dict(), snapshot / file)
        else:
            import_module("safetensors.torch").save_file(part.state_dict(), snapshot / file)


def _write_builtin_voice(snapshot: Path, model: Any) -> None:
    with TemporaryDirectory() as folder, import_module("torch").no_grad():
        model.prepare_conditionals(reference_clip(Path(folder) / "voice.wav", seed=1))
    model.conds.save(snapshot / "conds.pt")
