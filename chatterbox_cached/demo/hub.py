"""A Hugging Face hub cache of random weights, from which an unmodified ``from_pretrained`` loads."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..upstream import slots
from ..upstream.families import variant
from . import rehearsal
from .rehearsal import Parts, build_parts, reference_clip
from .tokenizers import KINDS, Kind, snapshot


def hub_folder(
    path: str | Path, *, layers: int = 2, models: Iterable[str] = ("english",), parts: Parts | None = None
) -> Path:
    """Write a new Hugging Face hub cache from which ``from_pretrained`` of ``models`` loads; 1.3 GB for each model.

    What two of them load is there once: all that ``vc`` needs is among the files of ``english``.

    To be used with ``HF_HUB_CACHE=<path>`` and ``HF_HUB_OFFLINE=1``. With fewer layers than upstream's 30 the process
    that loads it calls ``shortening.shorten`` first. ``parts``, on the CPU, are those to write.
    """
    parts = parts or build_parts()
    for name in models:
        own = {} if name == "vc" else {"layers": layers}
        model, folder = getattr(rehearsal, name)(parts=parts, **own), snapshot(Path(path), KINDS[name])
        _write_weights(folder, KINDS[name], model)
        _write_builtin_voice(folder, model, name)
    return Path(path)


def _write_weights(snapshot: Path, kind: Kind, model: Any) -> None:
    for file, name in zip(kind.weights, kind.parts, strict=True):
        if (snapshot / file).exists():
            continue
        state = getattr(model, name).state_dict()
        if name == "t3" and kind.config == "turbo":  # which upstream lets go of after it has loaded it
            tokens = import_module("chatterbox.models.t3.llama_configs").LLAMA_CONFIGS[kind.backbone]["vocab_size"]
            state["tfmr.wte.weight"] = import_module("torch").zeros(tokens, model.t3.dim)
        if file.endswith(".pt"):
            import_module("torch").save(state, snapshot / file)
        else:
            import_module("safetensors.torch").save_file(state, snapshot / file)


def _write_builtin_voice(snapshot: Path, model: Any, name: str) -> None:
    torch, family, file = import_module("torch"), variant(name).family, snapshot / "conds.pt"
    with TemporaryDirectory() as folder, torch.no_grad():
        getattr(model, family.prepare)(reference_clip(Path(folder) / "voice.wav", seed=1))
    made = slots.held(model, family)
    if family.speaks_texts:
        made.save(file)
    elif not file.exists():  # of one that has more in it, this part is the same
        torch.save({"gen": made}, file)
