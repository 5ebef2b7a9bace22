"""Acts on modules right after they are imported, each time that they are: also when imported anew, or reloaded.

wrapt has such hooks, but they take a module once, and wrapt takes longer to load than ``enable()`` may.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Act = Callable[[ModuleType], None]


class _Finder:
    """Finds what the other finders find, and has the loader act once the module is there.

    Python holds the lock of all imports while it asks a finder, so nothing is imported here.
    """

    def __init__(self) -> None:
        self.acts: dict[str, Act] = {}  # by the module's name
        self._asking: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        act = self.acts.get(name)
        if act is None or name in self._asking:  # by another finder that asks the others, as this one does
            return None
        self._asking.add(name)
        try:
            spec = self._of_the_others(name, path, target)
        finally:
            self._asking.discard(name)
        if spec is not None:
            _act_after(spec.loader, act)
        return spec

    def _of_the_others(self, name: str, path: Any, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            if find is not None and (spec := find(name, path, target)) is not None:
                return spec  # type: ignore[no-any-return]
        return None


def _act_after(loader: Any, act: Act) -> None:
    """Have ``loader`` do its work and then ``act``, once. It stays what it is for all that look at it."""
    execute = getattr(loader, "exec_module", None)

    def exec_module(module: ModuleType) -> None:
        with contextlib.suppress(AttributeError):  # another that acts on this loader has put it out already
            del loader.exec_module
        execute(module)  # type: ignore[misc]
        act(module)

    if execute is not None:
        with contextlib.suppress(AttributeError):  # a loader that takes no attributes
            loader.exec_module = exec_module


_finder = _Finder()


def after_import(name: str, act: Act) -> None:
    """Have ``act`` called with the module ``name`` each time that it is imported from now on. It must not raise."""
    _finder.acts[name] = act
    if _finder not in sys.meta_path:  # a program may have put it out
        sys.meta_path.insert(0, _finder)
