"""The modules that a preparation calls: which classes they are of, and what stands on each of them by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FunctionType
from typing import Any

from ...errors import Unidentifiable
from ...upstream.encodings import part_at
from .explorer import Explorer
from .tensors import is_tensor, is_torch_module
from .things import sorted_items
from .values import Live, Made, wrapped_in

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")


class Encoders:
    """All modules of the encoders of one model, by the path to each; ``tensors`` are the ids of what they have."""

    def __init__(self, model: Any, paths: tuple[str, ...]) -> None:
        torch: Any = sys.modules["torch"]
        self._tensor: type = torch.Tensor
        self._scripted: type = torch.jit.ScriptModule
        self.modules: dict[str, Any] = {
            f"{path}.{name}".strip("."): module
            for path in paths
            for name, module in part_at(model, path).named_modules(remove_duplicate=False)
        }
        self._internal = frozenset(vars(torch.nn.Module()))
        self.tensors = {id(tensor) for module in self.modules.values() for tensor in self._tensors_of(module)}

    def refuse_hooks(self, explorer: Explorer) -> None:
        """Raise Unidentifiable where something is to happen beside the encoders' own work."""
        of_all = vars(sys.modules["torch.nn.modules.module"])
        for_all = [of_all[name] for name in _GLOBAL_HOOKS if name in of_all]
        for hooks in for_all:
            explorer.lookup.watched.container(hooks)
        if any(vars(each)[name] for each in self.modules.values() for name in _HOOKS) or any(for_all):
            raise Unidentifiable(
                "hooks on the encoders",
                "There are hooks on the encoders, which would not be called on a hit, so every voice is prepared by"
                " upstream every time.",
            )

    def refuse_others(self, explorer: Explorer) -> None:
        """Raise Unidentifiable where a preparation uses weights beside the encoders'."""
        own = {id(module) for module in self.modules.values()}
        read = (value for visit in explorer.visits.values() for values in visit.read.values() for value in values)
        used = [value.thing for value in read if isinstance(value, Live) and is_torch_module(value.thing)]
        for module in (*explorer.called_modules.values(), *used):
            if id(module) not in own:
                raise Unidentifiable(
                    "other weights",
                    f"The preparation uses a {type(module).__qualname__} beside the encoders, whose weights are not in"
                    " the key, so every voice is prepared by upstream every time.",
                )

    def explore(self, explorer: Explorer) -> None:
        """Follow what calling them would run, library's or not."""
        for kind in dict.fromkeys(map(type, self.modules.values())):
            explorer.kind(kind)
            explorer.meet_all(explorer.lookup.attribute(Made(kind), "forward"))
            for each in kind.__mro__:
                if each not in explorer.kinds:
                    self._explore_library_class(explorer, each)
        for module in self.modules.values():
            explorer.lookup.overrides.extend(self._overrides(module))
            if isinstance(module, self._scripted):  # what it runs is in no function
                explorer.lookup.overrides.append(module)

    def _explore_library_class(self, explorer: Explorer, kind: type) -> None:
        """A class of a library may have been given functions that are not the library's."""
        explorer.lookup.watched.whole(kind)
        for name, raw in list(vars(kind).items()):
            if type(raw) is FunctionType or wrapped_in(raw) is not None:
                explorer.lookup.watched.item(kind, name)
                if not explorer.libraries.has(raw):
                    explorer.put(f"{kind.__module__}.{kind.__qualname__}.{name}", raw, Made(kind))

    def _overrides(self, module: Any) -> Iterator[Any]:
        for name, value in vars(module).items():
            if name not in self._internal and callable(value) and hasattr(type(module), name):
                yield value

    def lines(self, text: Callable[[Any], str], names: frozenset[str]) -> Iterator[str]:
        """What each module is and has; ``names`` are the attributes that any function looks up.

        Tensors are not among it: they count with the weights.
        """
        for path, module in self.modules.items():
            kind, own = text(type(module)), self._own(module)
            looked_up = frozenset(filter(partial(_counts, own), own)) if kind.startswith("library") else names
            yield f"{path} {kind} " + ",".join(f"{name}={text(value)}" for name, value in sorted_items(own, looked_up))

    def _tensors_of(self, module: Any) -> Iterator[Any]:
        yield from (each for each in (*module._parameters.values(), *module._buffers.values()) if each is not None)
        yield from (value for name, value in vars(module).items() if name not in self._internal and is_tensor(value))

    def _own(self, module: Any) -> Mapping[str, Any]:
        """Its own attributes, without PyTorch's."""
        return {
            name: value
            for name, value in vars(module).items()
            if name not in self._internal and not isinstance(value, self._tensor)
        }


def _counts(own: Mapping[str, Any], name: str) -> bool:
    """Whether an attribute of a module of a library's class decides what it does.

    The lists that it keeps to itself are of what it has besides. Its objects need not be, as packed weights are not.
    """
    return not (name.startswith("_") and isinstance(own[name], (list, tuple, dict, set)))
