"""What a full look at a model's modules sees that does not show in the digest of its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from chatterbox_cached.identity.standing import Attributes, Holders


def _model() -> nn.Sequential:
    first = nn.Linear(1, 1)
    first.register_buffer("nothing", torch.ones(0))
    return nn.Sequential(first, nn.BatchNorm1d(1), nn.ReLU(), nn.Conv1d(2, 3, 1)).eval()


def _another_order(model: Any) -> None:
    model._modules["0"] = model._modules.pop("0")


def _an_equal_tensor_of_one_element(model: Any) -> None:
    model[0].weight = nn.Parameter(model[0].weight.detach().clone())


def _an_equal_counter(model: Any) -> None:
    model[1].num_batches_tracked = model[1].num_batches_tracked.clone()


def _an_empty_tensor(model: Any) -> None:
    model[0].nothing = torch.ones(0)


def _an_equal_tensor(model: Any) -> None:
    model[3].weight = nn.Parameter(model[3].weight.detach().clone())


def _a_tensor_of_another_shape(model: Any) -> None:
    model[3].weight = nn.Parameter(torch.ones(5))


def _a_sparse_tensor(model: Any) -> None:
    model[3]._parameters["bias"] = torch.ones(3).to_sparse()


def _an_equal_module(model: Any) -> None:
    model[2] = nn.ReLU()


def _one_more(model: Any) -> None:
    model[2].register_buffer("more", torch.ones(2))


def _one_less(model: Any) -> None:
    del model[3]._parameters["bias"]


def _another_name(model: Any) -> None:
    model[3]._parameters["shift"] = model[3]._parameters.pop("bias")


@pytest.mark.parametrize(
    "change",
    [
        _another_order, _an_equal_tensor_of_one_element, _an_equal_counter, _an_empty_tensor, _an_equal_tensor,
        _a_tensor_of_another_shape, _a_sparse_tensor, _an_equal_module, _one_more, _one_less, _another_name,
    ],
)  # fmt: skip
def test_another_thing_in_a_module_is_seen_however_equal_it_is(change: Callable[[Any], None]) -> None:
    model = _model()
    holders = Holders(list(model.modules()))
    assert holders.stand()
    change(model)
    assert not holders.stand()


def _as_a_number(model: Any) -> None:
    vars(model[1])["affine"] = 1


def _negative_zero(model: Any) -> None:
    model[1].eps = -0.0


def _a_function_of_its_own(model: Any) -> None:
    model[2].forward = torch.sigmoid


def _a_hook(model: Any) -> None:
    model[0].register_forward_hook(lambda *_: None)


def _in_training(model: Any) -> None:
    model[1].train()


@pytest.mark.parametrize("change", [_as_a_number, _negative_zero, _a_function_of_its_own, _a_hook, _in_training])
def test_another_attribute_of_a_module_is_seen_however_equal_it_is(change: Callable[[Any], None]) -> None:
    model = _model()
    model[1].eps = 0.0
    attributes = Attributes(list(model.modules()))
    assert attributes.stand()
    change(model)
    assert not attributes.stand()


def test_weights_that_are_looked_at_can_be_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch swaps no tensor that anything refers to weakly, as an LSTM does until it is told to stop."""
    lstm = nn.LSTM(2, 3)
    monkeypatch.setattr(torch.__future__, "_swap_module_params_on_conversion", True)
    attributes, holders = Attributes([lstm]), Holders([lstm])
    lstm.to(torch.float64)
    assert not (attributes.stand() and holders.stand())


def test_another_weight_of_a_traced_module_is_seen() -> None:
    traced = torch.jit.trace(nn.Linear(2, 2).eval(), torch.ones(1, 2))  # type: ignore[no-untyped-call]
    holders = Holders(list(traced.modules()))
    assert holders.stand()
    traced.weight = nn.Parameter(torch.ones(2, 2))
    assert not holders.stand()
