"""The package stays one: where a program throws its modules out of ``sys.modules``, they come back as they are.

Programs that want Chatterbox imported anew drop every module that has its name in its own, and this package's have.
What is patched, which cache is in use and what was counted is known to the modules that are there, and to no new ones.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_ROOT = __name__.rsplit(".", 2)[0]
_package = sys.modules[_ROOT]


def there(name: str) -> ModuleType | None:
    """The package's module of this name, if it was ever imported. Each is kept by the package that it is in."""
    module: Any = _package
    for part in name.removeprefix(_ROOT).split(".")[1:]:
        module = vars(module).get(part)
        if not isinstance(module, ModuleType):
            return None
    return module if module.__name__ == name else None


class _AsItIs:
    """A loader that gives a module which is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # in the place of which Python has just put the other


class _Finder:
    """Python asks it for a module only where ``sys.modules`` does not have it, or to load it again."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if target is not None or not f"{name}.".startswith(f"{_ROOT}."):
            return None
        if (module := there(name)) is None:
            return None
        return ModuleSpec(name, _AsItIs(module), is_package=hasattr(module, "__path__"))  # type: ignore[arg-type]


_finder = _Finder()


def keep() -> None:
    """Have the package's modules come back as they are from now on."""
    if _finder not in sys.meta_path:  # a program may have put it out
        sys.meta_path.insert(0, _finder)
