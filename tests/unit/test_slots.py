"""Nothing live is kept and nothing kept is handed out; what comes back is what upstream would have made."""

from __future__ import annotations

import copy
import ctypes
import gc
import pickle
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.errors import EntryError, Unidentifiable
from chatterbox_cached.upstream.families import FAMILIES, Family
from chatterbox_cached.upstream.slots import emotion_adv, revive, take
from chatterbox_cached.voice.snapshot import Snapshot, _lazy_clones_hold, equal
from tests.support.comparison import assert_same_conditionals
from tests.support.small_voices import (
    EXAGGERATION,
    FAMILY,
    VC,
    Conditionals,
    FakeTTS,
    T3Cond,
    live,
    snapshot,
    snapshot_of_vc,
    with_field,
)


def bits(tensor: torch.Tensor) -> bytes:
    # A copy first: .numpy() would be the first write to memory that is shared until then.
    return tensor.detach().clone().contiguous().view(torch.uint8).numpy().tobytes()


def revived(kept: Snapshot, exaggeration: float = EXAGGERATION) -> Any:
    return revive(kept, FakeTTS(), FAMILY, emotion_adv(exaggeration, "cpu"))


def tensors(conditionals: Any) -> dict[str, torch.Tensor]:
    both = {**vars(conditionals.t3), **conditionals.gen}
    return {name: value for name, value in both.items() if isinstance(value, torch.Tensor)}


def test_what_comes_back_is_what_went_in() -> None:
    original = live()
    again = revived(take(original, FAMILY, emotion_adv(EXAGGERATION, "cpu"), 1.0))
    assert type(again) is Conditionals
    assert type(again.t3) is T3Cond
    assert_same_conditionals(again, original)


def test_one_snapshot_serves_every_exaggeration() -> None:
    kept = snapshot()
    for exaggeration in (0.0, 0.25, 1.5):
        assert_same_conditionals(revived(kept, exaggeration), live(exaggeration))


def test_the_exaggeration_is_not_in_a_snapshot() -> None:
    assert equal(snapshot(), take(live(0.1), FAMILY, emotion_adv(0.1, "cpu"), 9.0))


def test_every_revival_has_containers_and_tensors_of_its_own() -> None:
    kept = snapshot()
    one, two = revived(kept), revived(kept)
    assert one is not two
    assert one.t3 is not two.t3
    assert one.gen is not two.gen
    for name, tensor in tensors(one).items():
        assert tensor is not tensors(two)[name]
    one.gen.clear()
    one.t3.speaker_emb = None
    assert_same_conditionals(revived(kept), two)


WRITES: dict[str, Callable[[torch.Tensor], object]] = {
    "in place": lambda tensor: tensor.zero_(),
    "by index": lambda tensor: tensor.__setitem__(..., 3),
    "through a view": lambda tensor: tensor[0].zero_(),
    "through a transposed view": lambda tensor: tensor.mT.zero_() if tensor.dim() > 1 else tensor.zero_(),
    "through .data": lambda tensor: tensor.data.zero_(),
    "through .detach()": lambda tensor: tensor.detach().zero_(),
    "through .numpy()": lambda tensor: tensor.numpy().fill(3),
    "through np.asarray": lambda tensor: np.asarray(tensor).fill(3),
    "through its storage": lambda tensor: tensor.untyped_storage().fill_(1),
    "through its address": lambda tensor: ctypes.memset(tensor.data_ptr(), 1, tensor.nbytes),
    "through DLPack": lambda tensor: torch.from_dlpack(tensor).zero_(),
    "through out=": lambda tensor: torch.add(tensor, 1, out=tensor),
    "in shared memory": lambda tensor: tensor.share_memory_().zero_(),
    "after a resize": lambda tensor: tensor.resize_(3000).zero_(),
    "as other memory": lambda tensor: tensor.set_(torch.zeros(9, dtype=tensor.dtype)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_reaches_neither_the_snapshot_nor_another_copy(write: Callable[[torch.Tensor], object]) -> None:
    kept, expected = snapshot(), live()
    earlier, victim, later = revived(kept), revived(kept), revived(kept)
    before = {name: bits(tensor) for name, tensor in tensors(victim).items()}
    for tensor in tensors(victim).values():
        write(tensor)
    assert all(bits(tensor) != before[name] for name, tensor in tensors(victim).items())
    assert_same_conditionals(earlier, expected)
    assert_same_conditionals(later, expected)
    assert_same_conditionals(revived(kept), expected)
    assert equal(kept, snapshot())


def test_where_pytorchs_lazy_clones_bear_no_resize_each_hit_has_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = snapshot()
    # What stands for those of 2.14 here shares its memory for good, and refuses a resize.
    monkeypatch.setattr(torch, "_lazy_clone", lambda tensor: torch.from_numpy(tensor.numpy()))
    _lazy_clones_hold.cache_clear()
    try:
        for tensor in tensors(revived(kept)).values():
            tensor.zero_()
    finally:
        _lazy_clones_hold.cache_clear()
    assert equal(kept, snapshot())


def test_a_write_through_a_view_taken_before_another_copys_write_stays_apart() -> None:
    kept = snapshot()
    one, two = revived(kept), revived(kept)
    view = one.gen["prompt_feat"][:, :3]
    two.gen["prompt_feat"].fill_(2)
    view.fill_(1)
    assert (one.gen["prompt_feat"][:, :3] == 1).all()
    assert (two.gen["prompt_feat"] == 2).all()
    assert equal(kept, snapshot())


def test_a_snapshot_outlives_a_write_to_what_it_was_taken_of() -> None:
    original = live()
    kept = take(original, FAMILY, emotion_adv(EXAGGERATION, "cpu"), 1.0)
    for tensor in tensors(original).values():
        tensor.zero_()
    original.gen.clear()
    assert_same_conditionals(revived(kept), live())


def test_a_revived_copy_outlives_its_snapshot() -> None:
    copied = revived(snapshot())
    gc.collect()
    assert_same_conditionals(copied, live())


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_revived_copy_can_be_copied(copier: Callable[[Any], Any]) -> None:
    assert_same_conditionals(copier(revived(snapshot())), live())


def test_a_snapshot_holds_no_graph() -> None:
    original, leaf = live(), torch.ones(1, 192, requires_grad=True)
    original.gen["embedding"] = (leaf * 2).exp()
    graph = weakref.ref(leaf)
    kept = take(original, FAMILY, emotion_adv(EXAGGERATION, "cpu"), 1.0)
    assert torch.equal(kept.tensors()["gen.embedding"], original.gen["embedding"])
    assert not any(tensor.requires_grad or tensor.grad_fn for tensor in kept.tensors().values())
    del leaf
    gc.collect()
    assert graph() is not None  # held by what upstream made
    del original
    gc.collect()
    assert graph() is None


def test_a_snapshot_taken_in_inference_mode_can_be_used_with_gradients() -> None:
    with torch.inference_mode():
        kept = take(live(), FAMILY, emotion_adv(EXAGGERATION, "cpu"), 1.0)
    embedding = revived(kept).gen["embedding"]
    (embedding * torch.ones(1, 192, requires_grad=True)).sum().backward()
    embedding.add_(1)


def test_strides_are_kept() -> None:
    kept = revived(snapshot()).gen["prompt_feat"]
    assert kept.stride() == live().gen["prompt_feat"].stride() == (1120, 1, 14)


def test_only_the_tensors_own_bytes_are_kept() -> None:
    original = live()
    original.gen["embedding"] = torch.randn(1000, 192)[:1]
    kept = take(original, FAMILY, emotion_adv(EXAGGERATION, "cpu"), 1.0)
    assert kept.tensors()["gen.embedding"].untyped_storage().nbytes() == 192 * 4
    assert kept.nbytes == sum(tensor.untyped_storage().nbytes() for tensor in kept.tensors().values())


def test_tensors_are_listed_by_dotted_name_without_those_that_are_none() -> None:
    assert list(snapshot().tensors()) == [
        "t3.speaker_emb",
        "t3.cond_prompt_speech_tokens",
        "gen.prompt_token",
        "gen.prompt_token_len",
        "gen.prompt_feat",
        "gen.embedding",
    ]


def with_other_exaggeration(original: Any) -> None:
    original.t3.emotion_adv = 0.3 * torch.ones(1, 1, 1)


def with_exaggeration_of_another_shape(original: Any) -> None:
    original.t3.emotion_adv = EXAGGERATION * torch.ones(1)


def without_exaggeration(original: Any) -> None:
    del original.t3.emotion_adv


def with_derived_field(original: Any) -> None:
    original.t3.cond_prompt_speech_emb = torch.ones(1)


def with_another_part(original: Any) -> None:
    original.extra = torch.ones(1)


def with_a_number(original: Any) -> None:
    original.gen["speed"] = 1.5


def with_a_list(original: Any) -> None:
    original.t3.extra = [torch.ones(1)]


def with_a_further_tensor(original: Any) -> None:
    original.gen["further"] = torch.arange(3)


def with_a_further_empty_field(original: Any) -> None:
    original.t3.further = None


def with_a_field_too_few(original: Any) -> None:
    del original.gen["prompt_feat_len"]


def with_an_embedding_of_another_width(original: Any) -> None:
    original.gen["embedding"] = torch.ones(1, 191)


def with_a_parameter(original: Any) -> None:
    original.gen["embedding"] = torch.nn.Parameter(torch.ones(1))


def with_a_tensor_elsewhere(original: Any) -> None:
    original.gen["embedding"] = torch.ones(1, device="meta")


@pytest.mark.parametrize(
    "odd",
    [
        with_other_exaggeration,
        with_exaggeration_of_another_shape,
        without_exaggeration,
        with_derived_field,
        with_another_part,
        with_a_number,
        with_a_list,
        with_a_further_tensor,
        with_a_further_empty_field,
        with_a_field_too_few,
        with_an_embedding_of_another_width,
        with_a_parameter,
        with_a_tensor_elsewhere,
    ],
)
def test_what_would_not_come_back_the_same_is_unidentifiable(odd: Callable[[Any], None]) -> None:
    original = live()
    odd(original)
    with pytest.raises(Unidentifiable):
        take(original, FAMILY, emotion_adv(EXAGGERATION, "cpu"), 1.0)


def test_the_dict_of_a_model_for_speech_comes_back_as_a_new_one_with_tensors_of_its_own() -> None:
    kept, original = snapshot_of_vc(), live().gen
    one, two = (revive(kept, object(), VC, emotion_adv(0.0, "cpu")) for _ in range(2))
    assert type(one) is dict
    assert list(one) == list(original)
    one["embedding"].zero_()
    del one["prompt_token"]
    for name, value in original.items():
        assert two[name] is None if value is None else torch.equal(two[name], value)
    assert two["prompt_feat"].stride() == original["prompt_feat"].stride()
    assert equal(kept, snapshot_of_vc())


@pytest.mark.parametrize(
    "odd",
    [
        None,
        {},
        OrderedDict(live().gen),
        live(),
        {**live().gen, "speed": 1.5},
        {**live().gen, "further": torch.ones(1)},
        {**live().gen, "embedding": torch.ones(1, 191)},
        {name: value for name, value in live().gen.items() if name != "prompt_feat_len"},
    ],
    ids=str,
)
def test_what_is_no_dict_such_as_upstreams_is_unidentifiable(odd: Any) -> None:
    with pytest.raises(Unidentifiable):
        take(odd, VC, emotion_adv(0.0, "cpu"), 1.0)


@pytest.mark.parametrize("family", [FAMILY, *FAMILIES], ids=lambda family: family.name)
def test_no_model_is_given_a_voice_of_another_kind(family: Family) -> None:
    of_another_kind = snapshot_of_vc() if family.speaks_texts else snapshot()
    with pytest.raises(EntryError, match="for other models"):
        revive(of_another_kind, object(), family, emotion_adv(0.5, "cpu"))


def changed(kept: Snapshot, value: torch.Tensor | None) -> Snapshot:
    return with_field(kept, "gen.prompt_feat", value)


def test_snapshots_are_equal_bit_for_bit_only() -> None:
    kept = snapshot()
    feat = kept.tensors()["gen.prompt_feat"]
    flipped = feat.clone()
    flipped[0, 0, 0] += 1e-6
    assert equal(kept, snapshot(prepare_seconds=99.0))
    for other in (None, flipped, feat.double(), feat.contiguous(), feat[:, :-1], feat.unsqueeze(0)):
        assert not equal(kept, changed(kept, other))


def upstreams(exaggeration: Any) -> torch.Tensor:
    result = exaggeration * torch.ones(1, 1, 1)
    assert isinstance(result, torch.Tensor)
    return result


def assert_upstreams(exaggeration: Any) -> None:
    ours, theirs = emotion_adv(exaggeration, "cpu"), upstreams(exaggeration)
    assert (ours.dtype, ours.shape, ours.stride()) == (theirs.dtype, theirs.shape, theirs.stride())
    assert bits(ours) == bits(theirs)


@given(st.floats() | st.floats(-2, 2) | st.floats(width=32) | st.integers(-(2**63), 2**63 - 1) | st.booleans())
def test_exaggeration_is_bit_for_bit_upstreams(exaggeration: float) -> None:
    assert_upstreams(exaggeration)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("exaggeration", [0.1, 0.7, 1 / 3, 2.0, 1e-7, -0.0, 1e6])
def test_exaggeration_is_upstreams_in_every_default_dtype(dtype: torch.dtype, exaggeration: float) -> None:
    try:
        torch.set_default_dtype(dtype)
        assert_upstreams(exaggeration)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "number",
    [
        np.float32(0.7),
        np.float64(0.7),
        np.float16(0.7),
        np.int64(2),
        torch.tensor(0.7),
        torch.tensor([0.7]),
        torch.tensor(0.7, dtype=torch.float64),
        torch.tensor(2),
        torch.ones(2, 1, 1) / 3,
        1j,
    ],
    ids=repr,
)
def test_exaggeration_may_be_whatever_upstream_takes(number: Any) -> None:
    assert_upstreams(number)


@pytest.mark.parametrize("odd", ["loud", "0.7", None, [0.7], {}, object(), np.array([0.7]), torch.ones(3, 2), 10**400])
def test_what_is_no_number_is_unidentifiable(odd: Any) -> None:
    try:
        wanted = isinstance(odd * torch.ones(1, 1, 1), torch.Tensor)
    except Exception:
        wanted = False
    if wanted:
        assert_upstreams(odd)
    else:
        with pytest.raises(Unidentifiable, match="exaggeration"):
            emotion_adv(odd, "cpu")
