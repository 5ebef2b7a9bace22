"""The same weights have the same fingerprint, any others another, and no change of them goes unnoticed."""

from __future__ import annotations

import copy
import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from chatterbox_cached.accounting.bypasses import advice_for
from chatterbox_cached.errors import Unidentifiable
from chatterbox_cached.identity import weights
from chatterbox_cached.identity.code import looks
from chatterbox_cached.identity.weights import Fingerprints
from tests.support.small_models import ENCODERS, FAMILY, FakeTTS

USERS_SECONDS = looks.FULL_LOOK_SECONDS


@pytest.fixture(autouse=True)
def _every_look_is_a_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "FULL_LOOK_SECONDS", 0.0)


@pytest.fixture
def _looks_as_users_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "FULL_LOOK_SECONDS", USERS_SECONDS)


@pytest.fixture
def _only_quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "FULL_LOOK_SECONDS", 1e9)


@pytest.fixture
def fingerprints() -> Fingerprints:
    return Fingerprints()


def digest_of(model: Any) -> str:
    return Fingerprints().of(model, FAMILY).digest


def encoders(model: Any) -> list[Any]:
    return [attrgetter(path)(model) for path in ENCODERS]


def test_the_same_weights_have_the_same_digest() -> None:
    assert digest_of(FakeTTS()) == digest_of(FakeTTS()) == digest_of(copy.deepcopy(FakeTTS()))


def test_other_weights_have_another_digest() -> None:
    assert digest_of(FakeTTS()) != digest_of(FakeTTS(seed=1))


def test_the_layout_in_memory_does_not_count() -> None:
    model, weight = FakeTTS(), FakeTTS().ve.inner.weight
    model.ve.inner.weight = nn.Parameter(weight.detach().t().contiguous().t())
    assert model.ve.inner.weight.stride() != weight.stride()
    assert digest_of(model) == digest_of(FakeTTS())


@given(st.data())
def test_any_single_changed_element_makes_another_digest(data: st.DataObject) -> None:
    model = FakeTTS()
    path = data.draw(st.sampled_from(ENCODERS))
    encoder = attrgetter(path)(model)
    tensors = {**dict(encoder.named_parameters()), **dict(encoder.named_buffers())}
    tensor = tensors[data.draw(st.sampled_from(sorted(tensors)))]
    place = data.draw(st.integers(0, tensor.numel() - 1))
    with torch.no_grad():
        flat = tensor.view(-1)
        flat[place] = flat[place] + 1 if flat.dtype is torch.int64 else torch.nextafter(flat[place], torch.tensor(9.0))
    assert digest_of(model) != digest_of(FakeTTS())


def to_half(model: Any) -> None:
    model.ve.half()


def reshaped(model: Any) -> None:
    model.ve.window = model.ve.window.view(2, 2)


def renamed(model: Any) -> None:
    model.ve.other = model.ve._modules.pop("inner")


def with_encoders_swapped(model: Any) -> None:
    model.s3gen.tokenizer, model.s3gen.speaker_encoder = model.s3gen.speaker_encoder, model.s3gen.tokenizer


def with_a_flow_in_half(model: Any) -> None:
    model.s3gen.flow.half()


@pytest.mark.parametrize(
    "change",
    [to_half, reshaped, renamed, with_encoders_swapped, with_a_flow_in_half],
)
def test_another_form_makes_another_digest(change: Callable[[Any], None]) -> None:
    model = FakeTTS()
    change(model)
    assert digest_of(model) != digest_of(FakeTTS())


def test_weights_that_make_no_conditionals_do_not_count() -> None:
    model = FakeTTS()
    with torch.no_grad():
        model.s3gen.flow.weight.fill_(3)
    model.t3.weight = nn.Linear(2, 2)
    assert digest_of(model) == digest_of(FakeTTS())


@pytest.mark.usefixtures("_only_quick_looks")
def test_the_weights_are_read_once(fingerprints: Fingerprints, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeTTS()
    first = fingerprints.of(model, FAMILY)
    monkeypatch.setattr(weights, "_digest", lambda *_: pytest.fail("read again"))
    assert fingerprints.of(model, FAMILY) is first


def test_a_full_look_reads_no_weights(fingerprints: Fingerprints, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeTTS()
    first = fingerprints.of(model, FAMILY)
    monkeypatch.setattr(weights, "_digest", lambda *_: pytest.fail("read again"))
    assert fingerprints.of(model, FAMILY) is first


def load_all(model: Any) -> None:
    for ours, others in zip(encoders(model), encoders(FakeTTS(seed=1)), strict=True):
        ours.load_state_dict(others.state_dict())


def load_one(model: Any) -> None:
    model.s3gen.tokenizer.load_state_dict(FakeTTS(seed=1).s3gen.tokenizer.state_dict())


def load_and_assign(model: Any) -> None:
    model.ve.load_state_dict(FakeTTS(seed=1).ve.state_dict(), assign=True)


def half(model: Any) -> None:
    model.s3gen.speaker_encoder.half()


def half_and_back(model: Any) -> None:
    model.ve.half().float()


def double(model: Any) -> None:
    model.s3gen.tokenizer.to(torch.float64)


def all_of_s3gen_half_and_back(model: Any) -> None:
    model.s3gen.half().float()


def flow_in_half(model: Any) -> None:
    model.s3gen.flow.half()


def encoder_replaced(model: Any) -> None:
    model.ve = FakeTTS(seed=1).ve


def nested_encoder_replaced(model: Any) -> None:
    model.s3gen.tokenizer = FakeTTS(seed=1).s3gen.tokenizer


def s3gen_replaced(model: Any) -> None:
    model.s3gen = FakeTTS(seed=1).s3gen


WHOLE = (
    load_all,
    load_one,
    half,
    half_and_back,
    double,
    all_of_s3gen_half_and_back,
    flow_in_half,
    encoder_replaced,
    nested_encoder_replaced,
    s3gen_replaced,
)


@pytest.mark.usefixtures("_only_quick_looks")
@pytest.mark.parametrize("change", WHOLE)
def test_what_acts_on_a_whole_encoder_is_noticed_at_once(
    change: Callable[[Any], None], fingerprints: Fingerprints
) -> None:
    model = FakeTTS()
    before = fingerprints.of(model, FAMILY).digest
    change(model)
    now = fingerprints.of(model, FAMILY).digest
    assert now == digest_of(model) != before


def load_a_part(model: Any) -> None:
    model.s3gen.speaker_encoder.load_state_dict({"inner.weight": torch.ones(3, 6)}, strict=False)


def edit_in_place(model: Any) -> None:
    with torch.no_grad():
        model.ve.inner.weight[1, 2] += 1


def edit_a_buffer(model: Any) -> None:
    model.s3gen.tokenizer.window[2] = 0.5


def edit_through_a_view(model: Any) -> None:
    model.ve.inner.weight.detach()[0].zero_()


def replace_a_parameter(model: Any) -> None:
    model.ve.inner.weight = nn.Parameter(torch.ones(3, 4))


def replace_a_parameters_data(model: Any) -> None:
    model.ve.inner.weight.data = torch.ones(3, 4)


def replace_a_buffer(model: Any) -> None:
    model.s3gen.speaker_encoder.window = torch.ones(6)


def replace_a_submodule(model: Any) -> None:
    model.ve.inner = nn.Linear(4, 3).eval()


def a_submodule_in_half(model: Any) -> None:
    model.ve.inner.half()


def a_submodule_in_half_and_back(model: Any) -> None:
    model.ve.inner.half().float()


def drop_a_bias(model: Any) -> None:
    model.ve.inner.bias = None


def fill_an_empty_place(model: Any) -> None:
    model.ve.filters = torch.ones(3)


def add_a_buffer(model: Any) -> None:
    model.ve.register_buffer("more", torch.ones(3))


def add_a_submodule(model: Any) -> None:
    model.ve.inner.adapter = nn.Linear(3, 3).eval()


def train_a_step(model: Any) -> None:
    optimizer = torch.optim.SGD(model.ve.parameters(), lr=0.1)
    model.ve.inner(torch.ones(1, 4)).sum().backward()
    optimizer.step()


def replace_the_flow_by_one_in_half(model: Any) -> None:
    model.s3gen.flow = nn.Linear(2, 2).half().eval()


def hide_an_encoder(model: Any) -> None:
    vars(model.s3gen)["tokenizer"] = FakeTTS(seed=1).s3gen.tokenizer


CHANGES = (
    hide_an_encoder,
    load_a_part,
    load_and_assign,
    edit_in_place,
    edit_a_buffer,
    edit_through_a_view,
    replace_a_parameter,
    replace_a_parameters_data,
    replace_a_buffer,
    replace_a_submodule,
    a_submodule_in_half,
    a_submodule_in_half_and_back,
    drop_a_bias,
    fill_an_empty_place,
    add_a_buffer,
    add_a_submodule,
    train_a_step,
    replace_the_flow_by_one_in_half,
)


@pytest.mark.parametrize("change", [*WHOLE, *CHANGES])
def test_every_change_is_noticed_by_a_full_look(change: Callable[[Any], None], fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    before = fingerprints.of(model, FAMILY).digest
    change(model)
    now = fingerprints.of(model, FAMILY).digest
    assert now == digest_of(model) != before


@pytest.mark.usefixtures("_looks_as_users_have_them")
@pytest.mark.parametrize("change", [*WHOLE, *CHANGES])
def test_a_change_is_noticed_however_soon_the_next_question_comes(
    change: Callable[[Any], None], fingerprints: Fingerprints
) -> None:
    model = FakeTTS()
    before = fingerprints.of(model, FAMILY)
    for _ in range(3):
        time.sleep(2 * USERS_SECONDS)
        assert fingerprints.of(model, FAMILY) is before
    time.sleep(2 * USERS_SECONDS)
    change(model)
    found = [fingerprints.of(model, FAMILY).digest for _ in range(5)]  # with no pause between
    assert found == [digest_of(model)] * 5
    assert before.digest not in found


def test_a_look_that_saw_a_change_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "FULL_LOOK_SECONDS", 0.0)
    model = FakeTTS()
    known = Fingerprints().of(model, FAMILY)
    edit_in_place(model)
    assert not known.holds(model)
    monkeypatch.setattr(looks, "FULL_LOOK_SECONDS", 1e9)
    assert not known.holds(model)


def test_a_change_that_is_taken_back_brings_the_digest_back(fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    before = fingerprints.of(model, FAMILY).digest
    load_all(model)
    assert fingerprints.of(model, FAMILY).digest != before
    for ours, others in zip(encoders(model), encoders(FakeTTS()), strict=True):
        ours.load_state_dict(others.state_dict())
    assert fingerprints.of(model, FAMILY).digest == before


def test_a_forgotten_model_is_read_again(fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    first = fingerprints.of(model, FAMILY)
    model.ve.inner.weight.data.fill_(2)  # leaves no trace
    fingerprints.forget(model)
    assert fingerprints.of(model, FAMILY).digest == digest_of(model) != first.digest


@pytest.mark.parametrize("known", [False, True], ids=["at first", "later"])
@pytest.mark.parametrize("part", [*ENCODERS, "s3gen.tokenizer.norm"])
def test_a_model_in_training_mode_is_unidentifiable(part: str, known: bool, fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    if known:
        fingerprints.of(model, FAMILY)
    attrgetter(part)(model).train()
    with pytest.raises(Unidentifiable, match="training mode") as doubt:
        fingerprints.of(model, FAMILY)
    assert ".eval()" in advice_for(doubt.value.reason)
    attrgetter(part)(model).eval()
    assert fingerprints.of(model, FAMILY).digest == digest_of(FakeTTS())


@pytest.mark.parametrize("known", [False, True], ids=["at first", "later"])
def test_offloaded_weights_are_unidentifiable(known: bool, fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    if known:
        fingerprints.of(model, FAMILY)
    model.s3gen.speaker_encoder.to("meta")
    with pytest.raises(Unidentifiable, match="not in memory") as doubt:
        fingerprints.of(model, FAMILY)
    assert "s3gen.speaker_encoder" in str(doubt.value.told_at_once)


class Doubling(torch.Tensor):
    """As quantized weights are: what is computed with them is another thing than their elements say."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(function, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        return 2 * result if function is torch.nn.functional.linear else result


class Marked(torch.nn.Parameter):
    """Of a class of its own, and no more than that."""


@pytest.mark.parametrize("known", [False, True])
def test_weights_that_compute_themselves_are_unidentifiable(known: bool, fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    if known:
        fingerprints.of(model, FAMILY)
    weight = model.ve.inner.weight
    model.ve.inner.weight = torch.nn.Parameter(weight.detach().as_subclass(Doubling))
    with pytest.raises(Unidentifiable, match="compute themselves"):
        fingerprints.of(model, FAMILY)
    model.ve.inner.weight = Marked(weight.detach())
    assert fingerprints.of(model, FAMILY).digest


def without_a_tokenizer(model: Any) -> None:
    del model.s3gen.tokenizer


def without_a_voice_encoder(model: Any) -> None:
    model.ve = None


def with_an_encoder_without_weights(model: Any) -> None:
    model.ve = nn.Identity().eval()


def with_sparse_weights(model: Any) -> None:
    model.ve.inner.weight = nn.Parameter(torch.eye(3, 4).to_sparse())


@pytest.mark.parametrize("known", [False, True], ids=["at first", "later"])
@pytest.mark.parametrize(
    "odd",
    [
        without_a_tokenizer,
        without_a_voice_encoder,
        with_an_encoder_without_weights,
        with_sparse_weights,
    ],
)
def test_a_model_that_is_not_built_as_expected_is_unidentifiable(
    odd: Callable[[Any], None], known: bool, fingerprints: Fingerprints
) -> None:
    model = FakeTTS()
    if known:
        fingerprints.of(model, FAMILY)
    odd(model)
    with pytest.raises(Unidentifiable):
        fingerprints.of(model, FAMILY)


def test_a_fingerprint_keeps_no_model_alive(fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    fingerprints.of(model, FAMILY)
    let_go = [weakref.ref(model), weakref.ref(model.ve), weakref.ref(model.ve.inner.weight)]
    del model
    gc.collect()
    assert [reference() for reference in let_go] == [None, None, None]
    assert not fingerprints._of


@pytest.mark.parametrize("path", ENCODERS)
def test_a_replaced_encoders_tensors_are_let_go(path: str, fingerprints: Fingerprints) -> None:
    model = FakeTTS()
    fingerprints.of(model, FAMILY)
    encoder = attrgetter(path)(model)
    let_go = {name: weakref.ref(tensor) for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]}
    del encoder
    owner, _, name = path.rpartition(".")
    setattr(attrgetter(owner)(model) if owner else model, name, None)
    gc.collect()
    assert [name for name, reference in let_go.items() if reference() is not None] == []


def test_another_model_at_the_same_address_is_another_model(fingerprints: Fingerprints) -> None:
    for seed in range(20):
        model = FakeTTS(seed)
        assert fingerprints.of(model, FAMILY).digest == digest_of(model)
        del model


def test_threads_that_ask_at_once_read_the_weights_once(
    fingerprints: Fingerprints, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, together, read, digest = FakeTTS(), threading.Barrier(6), [], weights._digest

    def counting(*args: Any) -> str:
        read.append(args)
        return digest(*args)

    def ask(_: int) -> object:
        together.wait()
        return fingerprints.of(model, FAMILY)

    monkeypatch.setattr(weights, "_digest", counting)
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1
    assert len(read) == 1
