"""What tells one Chatterbox class from another, and the small files that each loads, tokenizers among them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

from .shortening import no_segmenter

TURBO_TOKENS = 50276
_REVISION, _CANGJIE = "0" * 40, "Cangjie5_TC.json"


class Kind(NamedTuple):
    """What tells one Chatterbox class from another: names of classes, of a T3Config and of files on the hub.

    A class without T3 has neither config nor tokenizer. ``weights`` are the files of its ``parts``. ``repository`` is
    where the files are on the hub, after ``ResembleAI/``; ``backbone`` is what its T3 is made of.
    """

    module: str
    class_name: str
    config: str
    tokenizer: str
    tokenizer_file: str
    weights: tuple[str, ...]
    repository: str = "chatterbox"
    backbone: str = "Llama_520M"
    parts: tuple[str, ...] = ("t3", "ve", "s3gen")


KINDS = {
    "english": Kind(
        "chatterbox.tts", "ChatterboxTTS", "english_only", "EnTokenizer", "tokenizer.json",
        ("t3_cfg.safetensors", "ve.safetensors", "s3gen.safetensors"),
    ),
    "multilingual": Kind(
        "chatterbox.mtl_tts", "ChatterboxMultilingualTTS", "multilingual", "MTLTokenizer",
        "grapheme_mtl_merged_expanded_v1.json", ("t3_mtl23ls_v2.safetensors", "ve.pt", "s3gen.pt"),
    ),
    "turbo": Kind(
        "chatterbox.tts_turbo", "ChatterboxTurboTTS", "turbo", "AutoTokenizer", "tokenizer.json",
        ("t3_turbo_v1.safetensors", "ve.safetensors", "s3gen_meanflow.safetensors"), "chatterbox-turbo", "GPT2_medium",
    ),
    "nano": Kind(
        "chatterbox.tts_turbo", "ChatterboxTurboTTS", "turbo", "AutoTokenizer", "tokenizer.json",
        ("t3_nano_v1.safetensors", "ve.safetensors", "s3gen_meanflow.safetensors"), "chatterbox-nano", "GPT2_small",
    ),
    "vc": Kind("chatterbox.vc", "ChatterboxVC", "", "", "", ("s3gen.safetensors",), parts=("s3gen",)),
}  # fmt: skip


def tokenizer(kind: Kind) -> Any:
    """The tokenizer of a class, with a small vocabulary."""
    if kind.tokenizer == "AutoTokenizer":
        with TemporaryDirectory() as folder:
            return import_module("transformers").AutoTokenizer.from_pretrained(snapshot(Path(folder), kind))
    module = import_module("chatterbox.models.tokenizers.tokenizer")
    constants = import_module("huggingface_hub.constants")
    with TemporaryDirectory() as folder, contextlib.ExitStack() as patches:
        if kind.config == "multilingual":
            patches.enter_context(mock.patch.object(constants, "HF_HUB_OFFLINE", True))
            converter = module.ChineseCangjieConverter
            patches.enter_context(mock.patch.object(converter, "_init_segmenter", no_segmenter))
        return getattr(module, kind.tokenizer)(str(snapshot(Path(folder), kind) / kind.tokenizer_file))


def snapshot(cache: Path, kind: Kind) -> Path:
    """The snapshot folder of a class's repository in a hub cache, new or not, with the small files in it."""
    snapshot = _empty_snapshot(cache, kind.repository)
    if not kind.tokenizer:
        return snapshot
    if kind.tokenizer == "AutoTokenizer":
        _write_text_tokenizer(snapshot / kind.tokenizer_file)
        return snapshot
    _write_tokenizer(snapshot / kind.tokenizer_file, _languages() if kind.config == "multilingual" else ())
    # from_pretrained asks for this table in the snapshot, MTLTokenizer in a second hub cache inside the snapshot.
    for folder in (snapshot, _empty_snapshot(snapshot, kind.repository)):
        (folder / _CANGJIE).write_text(json.dumps(["一\tm", "人\to", "口\tr"]), encoding="utf-8")
    return snapshot


def _empty_snapshot(cache: Path, repository_name: str) -> Path:
    repository = cache / f"models--ResembleAI--{repository_name}"
    snapshot = repository / "snapshots" / _REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(_REVISION)
    return snapshot


def _languages() -> Iterable[str]:
    return dict(import_module("chatterbox.mtl_tts").SUPPORTED_LANGUAGES)


def _write_tokenizer(path: Path, languages: Iterable[str]) -> None:
    """One token for every ASCII character and for every language; anything else is [UNK]."""
    tokenizers = import_module("tokenizers")
    # The numbers of [START] and [STOP] are T3Config's.
    special = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 255}
    special |= {f"[{language}]": number for number, language in enumerate(languages, start=256)}
    named = {number: name for name, number in special.items()}
    # The numbers in between are filled with names that no text meets: tokenizers warns of a vocabulary with holes.
    vocabulary = {named.get(n, chr(n) if 32 < n < 127 else f"[{n}]"): n for n in range(max(named) + 1)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(special))
    tokenizer.save(str(path))


def _write_text_tokenizer(path: Path) -> None:
    """As many tokens as Turbo's, of which text meets one for every ASCII character."""
    tokenizers = import_module("tokenizers")
    vocabulary = {"[UNK]": 0, "[END]": 1}
    vocabulary |= {chr(number): number for number in range(33, 127)}
    vocabulary |= {f"[{number}]": number for number in range(TURBO_TOKENS) if number not in {*vocabulary.values()}}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.save(str(path))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
        "eos_token": "[END]",
        "pad_token": "[END]",
    }
    path.with_name("tokenizer_config.json").write_text(json.dumps(settings))
