"""Each of upstream's writes into live conditionals, by name: none of them reaches an entry."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import ConditionalCache
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.voice.snapshot import Snapshot
from tests.support.comparison import assert_same_conditionals
from tests.support.small_voices import copy_of
from tests.support.speech import speak


@pytest.fixture(params=("english", "multilingual"))
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def cache(tmp_path: Path) -> ConditionalCache:
    return ConditionalCache(tmp_path / "voices")


def test_a_prepared_voice_holds_no_autograd_graph(model: Any, voice: Path, cache: ConditionalCache) -> None:
    model.prepare_conditionals(voice)
    assert model.conds.gen["embedding"].grad_fn is not None, "upstream no longer keeps the graph: this tests nothing"
    for _ in ("miss", "hit"):
        conditionals = cache.get_or_prepare(model, voice)
        for tensor in (*vars(conditionals.t3).values(), *conditionals.gen.values()):
            assert tensor is None or (tensor.grad_fn is None and not tensor.requires_grad)


def a_generation_with_another_exaggeration(model: Any) -> None:
    speak(model, exaggeration=1.5)
    assert model.conds.t3.emotion_adv.item() == 1.5, "upstream no longer replaces t3: this tests nothing"


def t3s_own_embedding_of_the_prompt(model: Any) -> None:
    speak(model, exaggeration=0.5)
    assert model.conds.t3.cond_prompt_speech_emb is not None, "T3 no longer stores it: this tests nothing"


def s3gens_cast_of_every_tensor(model: Any) -> None:
    speak(model, exaggeration=0.5)
    assert model.conds.gen["prompt_token"].dtype is torch.float32, "S3Gen no longer casts: this tests nothing"


def moving_the_live_conditionals(model: Any) -> None:
    model.conds.to("meta")


def casting_the_live_t3(model: Any) -> None:
    model.conds.t3.to(dtype=torch.float64)


def writing_into_a_tensor(model: Any) -> None:
    model.conds.gen["prompt_feat"].mul_(0)
    model.conds.t3.cond_prompt_speech_tokens[0, 0] = 7


def writing_through_numpy(model: Any) -> None:
    model.conds.t3.speaker_emb.numpy()[:] = 0
    model.conds.gen["embedding"].data.fill_(1)


def writing_into_the_containers(model: Any) -> None:
    model.conds.t3.speaker_emb = None
    model.conds.gen.clear()


@pytest.mark.parametrize(
    "write",
    [
        a_generation_with_another_exaggeration,
        t3s_own_embedding_of_the_prompt,
        s3gens_cast_of_every_tensor,
        moving_the_live_conditionals,
        casting_the_live_t3,
        writing_into_a_tensor,
        writing_through_numpy,
        writing_into_the_containers,
    ],
)
@pytest.mark.parametrize("after", ["miss", "memory hit", "disk hit"])
def test_no_write_into_live_conditionals_reaches_an_entry(
    write: Callable[[Any], None], after: str, model: Any, voice: Path, prepared: ConditionalCache, upstreams: Any
) -> None:
    # The entry is there already, so that only the miss itself has to prepare.
    if after == "disk hit":
        prepared.clear_memory()
    prepared.get_or_prepare(model, voice, force_refresh=after == "miss")
    write(model)
    for _ in ("memory", "disk"):
        assert_same_conditionals(prepared.get_or_prepare(model, voice), upstreams)
        prepared.clear_memory()


@pytest.fixture(scope="module")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[ConditionalCache, Any]]:
    return {}


@pytest.fixture
def prepared(model: Any, voice: Path, _prepared: Any, tmp_path_factory: pytest.TempPathFactory) -> ConditionalCache:
    """A cache that has the voice in memory and on disk; one per model, for all tests of this module."""
    if id(model) not in _prepared:
        cache = ConditionalCache(tmp_path_factory.mktemp("voices"))
        cache.get_or_prepare(model, voice)
        model.prepare_conditionals(voice)
        _prepared[id(model)] = cache, model.conds
    cache = _prepared[id(model)][0]
    cache.get_or_prepare(model, voice)
    return cache


@pytest.fixture
def upstreams(model: Any, prepared: ConditionalCache, _prepared: Any) -> Any:
    """What upstream itself made of the voice."""
    return _prepared[id(model)][1]


def test_a_write_into_one_hit_does_not_reach_another(model: Any, voice: Path, prepared: ConditionalCache) -> None:
    first = prepared.get_or_prepare(model, voice)
    second = prepared.get_or_prepare(model, voice)
    first.t3.speaker_emb.add_(1)
    assert not torch.equal(first.t3.speaker_emb, second.t3.speaker_emb)


def test_a_hit_can_be_saved_by_upstream_itself(
    model: Any, voice: Path, prepared: ConditionalCache, upstreams: Any, tmp_path: Path
) -> None:
    conditionals = prepared.get_or_prepare(model, voice)
    conditionals.save(tmp_path / "saved.pt")
    assert_same_conditionals(type(conditionals).load(tmp_path / "saved.pt"), upstreams)


def test_a_hit_works_where_inference_mode_is_on_or_off(model: Any, voice: Path, prepared: ConditionalCache) -> None:
    with torch.inference_mode():
        inside = prepared.get_or_prepare(model, voice, force_refresh=True)
    outside = prepared.get_or_prepare(model, voice)
    assert_same_conditionals(inside, outside)
    outside.gen["embedding"].requires_grad_().sum().backward()


class _MallocInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keep")
    ]


def _in_use() -> int:
    """Bytes that this process has taken from glibc. What it resides in says less: freed memory is used again."""
    info = ctypes.CDLL(None).mallinfo2
    info.restype = _MallocInfo
    now = info()
    return int(now.used + now.hblkhd)


def test_a_kept_voice_costs_a_quarter_of_a_megabyte_where_upstreams_costs_hundreds(
    english: Any, tmp_path: Path
) -> None:
    voice = rehearsal.reference_clip(tmp_path / "voice.wav", seconds=10)
    cache = ConditionalCache()
    cache.get_or_prepare(english, voice)

    live = []
    for _ in range(3):
        english.prepare_conditionals(voice)
        live.append((english.conds, _in_use()))
    assert (live[2][1] - live[0][1]) / 2 > 100e6, "upstream's conditionals have become small: this tests nothing"
    english.conds = None
    live.clear()
    gc.collect()

    memory = cache.serving.store.memory
    snapshot = memory.get(*memory.keys())
    assert isinstance(snapshot, Snapshot)
    before, kept = _in_use(), []
    for number in range(200):
        memory.put(f"copy {number}", copy_of(snapshot))
        kept.append(memory.get(f"copy {number}"))
    assert (_in_use() - before) / len(kept) < 0.25e6
    assert snapshot.nbytes < 0.25e6


def copied(fields: Any) -> Any:
    return {name: None if tensor is None else tensor.clone() for name, tensor in fields.items()}
