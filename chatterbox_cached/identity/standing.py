"""What of a model's encoders is looked at, to see that nothing of them has changed."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..concurrency.signals import pass_on
from .code.tensors import is_tensor

if TYPE_CHECKING:
    import torch

_VERSION = attrgetter("_version")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class Encoders:
    """Which encoders a model has, by their identities, for they are not to be kept alive.

    They are found past the Python code of nn.Module.__getattr__ where they are registered as submodules.
    """

    def __init__(self, model: Any, paths: tuple[str, ...]) -> None:
        of_parent: dict[str, list[str]] = {}
        plain = []
        for path in filter(None, paths):  # the empty one is the model itself
            parent, _, name = path.rpartition(".")
            if parent and name in getattr(attrgetter(parent)(model), "_modules", ()):
                of_parent.setdefault(parent, []).append(name)
            else:
                plain.append(path)
        # Given a name twice, these two give a tuple of one name as well.
        self._plain = attrgetter(*plain, *plain[:1]) if plain else lambda _: ()
        self._nested = [
            (attrgetter(f"{parent}._modules"), operator.itemgetter(*names, names[0]))
            for parent, names in of_parent.items()
        ]
        self._had = self._now(model)

    def stand(self, model: Any) -> bool:
        try:
            return self._now(model) == self._had
        except (AttributeError, KeyError):
            return False

    def _now(self, model: Any) -> list[int]:
        found = list(map(id, self._plain(model)))
        for submodules, get in self._nested:
            found += map(id, get(submodules(model)))
        return found


class Sentinel:
    """One small tensor of an encoder. Whatever acts on the whole encoder acts on it too."""

    def __init__(self, encoder: Any) -> None:
        self.holder, self.name = min(_floating(encoder), key=lambda place: int(place[0][place[1]].numel()))
        self.tensor = self.holder[self.name]
        self.counts = not self.tensor.is_inference()  # or it has no version
        self.version, self.address = self.tensor._version if self.counts else 0, self.tensor.data_ptr()
        # ``.half().float()`` moves a tensor twice and could bring it back to the address it had. An alias keeps that
        # address taken; of a large tensor it would keep the old weights in memory.
        self.pin = self.tensor.detach()


class Attributes:
    """What modules have besides their tensors and submodules: settings, flags, functions, and hooks."""

    def __init__(self, modules: list[Any]) -> None:
        self._all = list(map(vars, modules))
        self._sizes = list(map(len, self._all))
        places = [(vars(module), *item) for module in modules for item in attributes_of(module)]
        self._places, self._names = [own for own, _, _ in places], [name for _, name, _ in places]
        self._values = [value for _, _, value in places]
        self._hooks = [own[name] for own in self._all for name in _HOOKS]

    def let_go(self) -> None:
        self._all, self._places, self._values, self._hooks = [], [], [], []

    def stand(self) -> bool:
        try:
            return (
                list(map(len, self._all)) == self._sizes
                and all(map(operator.is_, map(operator.getitem, self._places, self._names), self._values))
                and not any(self._hooks)
            )
        except KeyError:
            return False


class Holders:
    """Where modules keep their tensors and submodules, and what was there.

    Comparing two dicts is a loop of Python's own that takes the same object for equal, without asking it. Other
    modules and tensors are not equal, but for a tensor of one element, or none: of these the very object is looked at.
    Nor does it compare the order, in which containers call their submodules.
    """

    def __init__(self, modules: list[Any]) -> None:
        places = [holder for module in modules for holder in (module._parameters, module._buffers, module._modules)]
        self._scripted = [place for place in places if not isinstance(place, dict)]  # TorchScript's are no dicts
        self._in_scripted = _contents(self._scripted)
        places = [place for place in places if isinstance(place, dict)]
        self._all, self._empty = [place for place in places if place], [place for place in places if not place]
        self._had = list(map(dict, self._all))
        children = [module._modules for module in modules]
        self._submodules = [place for place in children if place and isinstance(place, dict)]
        self._order = list(chain.from_iterable(self._submodules))
        small = [
            (holder, name, thing)
            for holder in self._all
            for name, thing in holder.items()
            if is_tensor(thing) and thing.numel() < 2
        ]
        self._places, self._names = [place for place, _, _ in small], [name for _, name, _ in small]
        self._small = [thing for _, _, thing in small]

    def let_go(self) -> None:
        self._all, self._had, self._submodules, self._places, self._small = [], [], [], [], []
        self._empty, self._scripted, self._in_scripted = [], [], []

    def stand(self) -> bool:
        try:
            return (
                self._all == self._had
                and not any(self._empty)
                and list(chain.from_iterable(self._submodules)) == self._order
                and all(map(operator.is_, map(operator.getitem, self._places, self._names), self._small))
                and (not self._scripted or self._scripted_stand())
            )
        except Exception as error:  # another tensor, which says neither yes nor no
            pass_on(error)
            return False

    def _scripted_stand(self) -> bool:
        now, had = _contents(self._scripted), self._in_scripted
        return len(now) == len(had) and all(map(operator.is_, now, had))


def _contents(holders: list[Any]) -> list[Any]:
    """What is in them, in their order: TorchScript changes no names."""
    return [thing for holder in holders for _, thing in holder.items()]


def state(tensors: list[torch.Tensor]) -> list[int]:
    """What changes when a tensor is written to, cast or moved: of each its version and its address.

    Both of one tensor at a time, since it is far from the next in memory.
    """
    import torch

    return list(chain.from_iterable(zip(map(_VERSION, tensors), map(torch.Tensor.data_ptr, tensors), strict=True)))


def attributes_of(module: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of what a module has besides its registered tensors and submodules, and PyTorch's own."""
    internal = _internal()
    return ((name, value) for name, value in vars(module).items() if name not in internal)


@lru_cache(maxsize=1)
def _internal() -> frozenset[str]:
    """The attributes that PyTorch gives every module for its own use; that it is in training decides what it does.

    And what an LSTM notes of its weights: while that is held, PyTorch can't swap them for others.
    """
    import torch

    return frozenset(vars(torch.nn.Module())) - {"training"} | {"_flat_weight_refs"}


def _floating(encoder: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """The places of an encoder's floating-point tensors; casting leaves the others as they are."""
    for module in encoder.modules():
        for holder in (module._parameters, module._buffers):
            for name, tensor in holder.items() if isinstance(holder, dict) else ():
                if tensor is not None and tensor.is_floating_point() and tensor.numel():
                    yield holder, name
