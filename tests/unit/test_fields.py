"""What upstream makes is let through, and what it never makes is refused before a model or an allocation sees it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.voice.fields import FIELDS, PARTS, REFERENCE, flaw, flaw_of_form, form_of
from chatterbox_cached.voice.snapshot import Snapshot
from tests.support.small_voices import snapshot, snapshot_of_vc


def changed(name: str, value: Any) -> dict[str, Any]:
    return {**snapshot().tensors(), name: value}


# As measured: a clip of 0.1 s, whose mel features are cut to an odd length, one of 10 s and more, and Turbo's.
MADE = {"0.1 s": (3, 2, 5), "10 s": (150, 250, 500), "turbo": (375, 250, 500)}


@pytest.mark.parametrize(("cond", "tokens", "frames"), MADE.values(), ids=MADE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_what_upstream_makes_is_let_through(cond: int, tokens: int, frames: int, dtype: torch.dtype) -> None:
    made: dict[str, Any] = {
        "t3.speaker_emb": torch.randn(1, 256),
        "t3.clap_emb": None,
        "t3.cond_prompt_speech_tokens": torch.randint(0, 6561, (1, cond)),
        "gen.prompt_token": torch.full((1, tokens), 6560),
        "gen.prompt_token_len": torch.tensor([tokens]),
        "gen.prompt_feat": torch.randn(1, 80, frames).transpose(1, 2).to(dtype),
        "gen.prompt_feat_len": None,
        "gen.embedding": torch.randn(1, 192, dtype=torch.float32).to(dtype),
    }
    assert flaw(made) is None


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field])
def test_a_missing_field_is_named(name: str) -> None:
    assert flaw(changed(name, None)) == f"{name} is missing"
    assert flaw({other: value for other, value in snapshot().tensors().items() if other != name}) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("t3.speaker_emb", torch.ones(256)),
        ("t3.speaker_emb", torch.ones(2, 256)),
        ("t3.speaker_emb", torch.ones(1, 0)),
        ("t3.speaker_emb", torch.ones(1, 256).long()),
        ("t3.speaker_emb", torch.ones(1, 256, dtype=torch.complex64)),
        ("t3.speaker_emb", torch.ones(1, 255)),
        ("t3.speaker_emb", torch.full((1, 256), float("nan"))),
        ("t3.speaker_emb", torch.ones(1, 256).to_sparse()),
        ("t3.speaker_emb", torch.ones(1, 256, device="meta")),
        ("t3.speaker_emb", [1.0]),
        ("t3.clap_emb", torch.ones(1, 1)),
        ("t3.clap_emb", torch.ones(1).expand(10**9)),
        ("t3.cond_prompt_speech_emb", torch.ones(1, 7, 3)),
        ("t3.cond_prompt_speech_emb", None),
        ("t3.emotion_adv", torch.ones(1, 1, 1)),
        ("t3.cond_prompt_speech_tokens", torch.ones(1, 5)),
        ("t3.cond_prompt_speech_tokens", torch.ones(1, 5, dtype=torch.bool)),
        ("t3.cond_prompt_speech_tokens", torch.full((1, 5), 6561)),
        ("gen.prompt_token", torch.full((1, 5), -1)),
        ("gen.prompt_token", torch.ones(1, 5, 5).long()),
        ("gen.prompt_token", torch.ones(1, 1).long().expand(1, 2**17)),
        ("gen.prompt_token_len", torch.tensor([-1])),
        ("gen.prompt_token_len", torch.tensor(5)),
        ("gen.prompt_token_len", torch.tensor([8])),  # of 7
        ("gen.prompt_feat", torch.ones(1, 500, 100)),
        ("gen.prompt_feat", torch.ones(1, 80, 500)),
        ("gen.prompt_feat", torch.full((1, 500, 80), float("inf"))),
        ("gen.prompt_feat_len", torch.tensor([14])),
        ("gen.embedding", torch.ones(1, 192, dtype=torch.int8)),
        ("gen.embedding", torch.ones(1, 5, dtype=torch.float64)),
        ("gen.embedding", torch.ones(1, 192).half() * 60000 * 2),
    ],
)
def test_what_upstream_never_makes_is_named(name: str, value: Any) -> None:
    assert (flaw(changed(name, value)) or "").startswith(name)


def test_the_form_is_judged_without_a_look_at_the_values() -> None:
    """2**50 elements that are one number: whoever copies or counts them never ends."""
    assert flaw_of_form(changed("gen.prompt_feat", torch.ones(1).expand(1, 2**50, 80))) is not None
    assert flaw_of_form(changed("gen.further", torch.ones(1).expand(2**50))) is not None


@pytest.mark.parametrize("value", [torch.arange(3), torch.ones(0), None])
def test_a_forks_further_field_is_refused(value: torch.Tensor | None) -> None:
    """Upstream's methods are called with it, and what they make of it is not known."""
    assert flaw(changed("gen.further", value)) == "gen.further is no field of a voice"
    assert flaw(changed("t4.further", value)) == "t4.further is no field of a voice"


def test_a_voice_of_one_kind_is_none_of_the_other() -> None:
    text, speech = snapshot(), snapshot_of_vc()
    assert text.flaw() is None
    assert speech.flaw() is None
    assert flaw(text.tensors(), REFERENCE) == "t3.speaker_emb is no field of a voice"
    assert flaw(speech.tensors(), FIELDS) == "t3.speaker_emb is missing"


@given(st.sets(st.sampled_from([*FIELDS, "gen.further", "t3.emotion_adv"])))
def test_a_form_has_all_of_its_fields_and_no_others(names: set[str]) -> None:
    assert form_of(names) is next((form for form in (FIELDS, *PARTS) if names == set(form)), None)


def test_empty_fields_for_t3_do_not_make_a_voice_for_speech_one_for_texts() -> None:
    """Which tensors there are does not say of which kind it is: its fields do."""
    speech = snapshot_of_vc()
    empty = dict.fromkeys(name.removeprefix("t3.") for name in FIELDS if name.startswith("t3."))
    made_up = Snapshot({"t3": empty, **speech.parts}, prepare_seconds=1.0)
    assert made_up.flaw() == "t3.speaker_emb is missing"


@pytest.mark.parametrize("name", [name for name, field in REFERENCE.items() if field])
def test_a_missing_field_of_a_voice_for_speech_is_named(name: str) -> None:
    assert flaw({**snapshot_of_vc().tensors(), name: None}, REFERENCE) == f"{name} is missing"
