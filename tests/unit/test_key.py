"""Whatever decides the bits of a voice is in its key, and whatever does not is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chatterbox_cached.errors import Unidentifiable
from chatterbox_cached.identity.code import looks
from chatterbox_cached.identity.key import Identity
from chatterbox_cached.upstream import packages
from chatterbox_cached.upstream.calls import Preparation
from chatterbox_cached.voice.key_format import SCHEMA, voice_prefix
from tests.support.small_models import FAMILY, FakeTTS


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"sound")
    return path


def call_of(model: Any, clip: Any, others: dict[str, Any] | None = None) -> Preparation:
    """A call that wants the voice of ``clip`` prepared on ``model``, with these arguments besides."""
    function = getattr(type(model), "prepare_conditionals", None)
    return Preparation(model, FAMILY, function, clip, 0.5, others or {}, lambda: None)  # type: ignore[arg-type]


def key_of(model: Any, clip: Any, **others: Any) -> str:
    return Identity().key(call_of(model, clip, others)).text


def test_the_same_call_has_the_same_key(clip: Path) -> None:
    assert key_of(FakeTTS(), clip) == key_of(FakeTTS(), str(clip))


def test_a_key_has_the_form_that_is_written_down(clip: Path) -> None:
    key = Identity().key(call_of(FakeTTS(), clip))
    schema, voice, rest = key.text.split("/")
    assert schema == f"v{SCHEMA}"
    assert voice == key.audio.digest
    assert len(rest) == 64
    assert set(rest) <= set("0123456789abcdef")


def test_a_voices_prefix_finds_its_keys_and_no_others(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(b"other sound")
    key = Identity().key(call_of(FakeTTS(), clip))
    prefix = voice_prefix(key.audio.digest)
    assert key.text.startswith(prefix)
    assert key_of(FakeTTS(seed=1), clip).startswith(prefix)
    assert not key_of(FakeTTS(), other).startswith(prefix)


def test_the_path_is_not_in_the_key(clip: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy.wav"
    copied.write_bytes(clip.read_bytes())
    assert key_of(FakeTTS(), copied) == key_of(FakeTTS(), clip)
    with clip.open("rb") as file:
        assert key_of(FakeTTS(), file) == key_of(FakeTTS(), clip)


def other_weights(model: Any, _: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        model.ve.inner.weight += 1


def other_dtype(model: Any, _: pytest.MonkeyPatch) -> None:
    model.ve.half()


def other_enc_cond_len(model: Any, _: pytest.MonkeyPatch) -> None:
    model.ENC_COND_LEN = 5


def other_dec_cond_len(model: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(model), "DEC_COND_LEN", 5)


def other_prompt_len(model: Any, _: pytest.MonkeyPatch) -> None:
    model.t3.hp.speech_cond_prompt_len = 375


def other_device(model: Any, _: pytest.MonkeyPatch) -> None:
    model.device = "cuda"


def other_default_dtype(_: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch, "get_default_dtype", lambda: torch.float64)


def other_code(_: Any, patch: pytest.MonkeyPatch) -> None:
    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5, **others: Any) -> None:
        self.conds = self.ve.inner(wav_fpath), self.s3gen.tokenizer.inner(0.5 * wav_fpath)

    patch.setattr(FakeTTS, "prepare_conditionals", prepare_conditionals)


def other_library(_: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packages, "_version", lambda name: "99" if name == "librosa" else "1")


CHANGES = (
    other_weights,
    other_dtype,
    other_enc_cond_len,
    other_dec_cond_len,
    other_prompt_len,
    other_device,
    other_default_dtype,
    other_code,
    other_library,
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_the_bits_is_in_the_key(
    change: Callable[[Any, pytest.MonkeyPatch], None], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeTTS()
    before = key_of(model, clip)
    change(model, monkeypatch)
    assert key_of(model, clip) != before


# Libraries stay the same for as long as a process runs.
@pytest.mark.parametrize("change", [change for change in CHANGES if change is not other_library])
def test_what_changes_while_it_runs_is_noticed(
    change: Callable[[Any, pytest.MonkeyPatch], None], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, model = Identity(), FakeTTS()
    before = known.key(call_of(model, clip)).text
    change(model, monkeypatch)
    time.sleep(2 * looks.FULL_LOOK_SECONDS)
    assert known.key(call_of(model, clip)).text == key_of(model, clip) != before


def test_the_precision_of_matrix_products_is_in_the_key(clip: Path) -> None:
    known, model, usual = Identity(), FakeTTS(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(usual)  # since 2.9 PyTorch tells what was asked for from what it began with
    before = known.key(call_of(model, clip)).text
    try:
        torch.set_float32_matmul_precision("medium" if usual != "medium" else "high")
        assert known.key(call_of(model, clip)).text != before
    finally:
        torch.set_float32_matmul_precision(usual)
    assert known.key(call_of(model, clip)).text == before


def test_the_number_of_a_device_is_not_in_the_key(clip: Path) -> None:
    one, two = FakeTTS(), FakeTTS()
    one.device, two.device = "cuda:0", torch.device("cuda", 1)
    assert key_of(one, clip) == key_of(two, clip)


def test_autocast_is_in_the_key(clip: Path) -> None:
    known, model = Identity(), FakeTTS()
    keys = [known.key(call_of(model, clip)).text]
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            keys.append(known.key(call_of(model, clip)).text)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
        assert known.key(call_of(model, clip)).text == keys[0]
    assert len(set(keys)) == 3


def test_autocast_for_another_device_is_not_in_the_key(clip: Path) -> None:
    before = key_of(FakeTTS(), clip)
    torch.set_autocast_enabled("cuda", True)
    try:
        assert key_of(FakeTTS(), clip) == before
    finally:
        torch.set_autocast_enabled("cuda", False)


def test_other_arguments_are_in_the_key(clip: Path) -> None:
    keys = [
        key_of(FakeTTS(), clip),
        *(key_of(FakeTTS(), clip, norm_loudness=value) for value in (True, False, None, "loud", 2, 0.5)),
        key_of(FakeTTS(), clip, another=True),
    ]
    assert len(set(keys)) == len(keys)


def test_the_order_of_other_arguments_is_not_in_the_key(clip: Path) -> None:
    assert key_of(FakeTTS(), clip, a=1, b=2) == key_of(FakeTTS(), clip, b=2, a=1)


@pytest.mark.parametrize("odd", [object(), [1], {}, np.zeros(2), torch.ones(1), b"bytes", (1, 2), Decimal(1), np.True_])
@pytest.mark.parametrize("known", [False, True], ids=["at first", "after one it equals"])
def test_other_arguments_of_other_kinds_are_unidentifiable(odd: Any, known: bool, clip: Path) -> None:
    maker, model = Identity(), FakeTTS()
    if known:
        maker.key(call_of(model, clip, {"norm_loudness": True}))
    with pytest.raises(Unidentifiable, match="argument"):
        maker.key(call_of(model, clip, {"norm_loudness": odd}))


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (True, 1), (1, 1.0)])
def test_a_key_does_not_depend_on_what_was_asked_before(one: Any, other: Any, clip: Path) -> None:
    maker, model = Identity(), FakeTTS()
    maker.key(call_of(model, clip, {"level": one}))
    assert maker.key(call_of(model, clip, {"level": other})).text == key_of(model, clip, level=other)


def test_a_model_without_its_constants_is_unidentifiable(clip: Path) -> None:
    model = FakeTTS()
    model.t3 = None
    with pytest.raises(Unidentifiable, match="not built as expected"):
        key_of(model, clip)


def test_unidentifiable_audio_is_refused_before_the_model_is_read(tmp_path: Path) -> None:
    with pytest.raises(Unidentifiable, match="audio"):
        key_of(None, tmp_path / "missing.wav")


def test_after_forget_model_and_audio_are_read_again(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, model = Identity(), FakeTTS()
    before = known.key(call_of(model, clip)).text
    model.ve.inner.weight.data.fill_(2)  # leaves no trace
    known.forget(model, clip)
    assert known.key(call_of(model, clip)).text == key_of(model, clip) != before
