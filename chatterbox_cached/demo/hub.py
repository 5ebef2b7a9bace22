"""A Hugging Face hub cache of random weights, from which an unmodified ``from_pretrained`` loads."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import rehearsal
from .rehearsal import Parts, build_parts, reference_clip
from .tokenizers import KINDS, Kind, snapshot


def hub_folder(
    path: str | Path, *, layers: int = 2, models: Iterable[str] = ("english",), parts: Parts | None = None
) -> Path:
    """Write a new Hugging Face hub cache from which ``from_pretrained`` of ``models`` loads; 1.3 GB for each model.

    To be used with ``HF_HUB_CACHE=<path>`` and ``HF_HUB_OFFLINE=1``. With fewer layers than upstream's 30 the process
    that loads it calls ``shortening.shorten`` first. ``parts``, on the CPU, are those to write.
    """
    parts = parts or build_parts()
    for name in models:
        model, folder = getattr(rehearsal, name)(layers=layers, parts=parts), snapshot(Path(path), KINDS[name])
        _write_weights(folder, KINDS[name], model)
        _write_builtin_voice(folder, model)
    return Path(path)


def _write_weights(snapshot: Path, kind: Kind, model: Any) -> None:
    for file, part in zip(kind.weights, (model.t3, model.ve, model.s3gen), strict=True):
        state = part.state_dict()
        if part is model.t3 and kind.config == "turbo":  # which upstream lets go of after it has loaded it
            tokens = import_module("chatterbox.models.t3.llama_configs").LLAMA_CONFIGS["GPT2_medium"]["vocab_size"]
            state["tfmr.wte.weight"] = import_module("torch").zeros(tokens, model.t3.dim)
        if file.endswith(".pt"):
            import_module("torch").save(state, snapshot / file)
        else:
            import_module("safetensors.torch").save_file(state, snapshot / file)


def _write_builtin_voice(snapshot: Path, model: Any) -> None:
    with TemporaryDirectory() as folder, import_module("torch").no_grad():
        model.prepare_conditionals(reference_clip(Path(folder) / "voice.wav", seed=1))
    model.conds.save(snapshot / "conds.pt")
