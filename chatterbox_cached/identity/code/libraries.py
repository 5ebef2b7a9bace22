"""Whose a function or a class is: of a library that was installed, of Chatterbox, or of the program.

What belongs to a library counts by the library's version, as long as it really is the library's. What a program has put
in its place, whatever it calls itself, is the program's.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType, WrapperDescriptorType
from typing import Any

_OF_PYTHON = frozenset(sys.stdlib_module_names) | {"builtins", "__future__"}
_SITE = ("site-packages", "dist-packages")
_IN_C = (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType)


def top_of(module: object) -> str:
    """The first part of a module's name; empty for what has none."""
    return module.partition(".")[0] if isinstance(module, str) else ""


def is_of_python(top: str) -> bool:
    """Whether the package ``top`` came with Python."""
    return top in _OF_PYTHON


def is_library(top: str) -> bool:
    """Whether the package ``top`` was installed, or came with Python."""
    if top in _OF_PYTHON:
        return True
    file = _file(top)
    return file is not None and _was_installed(top, file)


def is_programs(top: str) -> bool:
    """Whether the package ``top`` is loaded and no library."""
    return top in sys.modules and not is_library(top)


@lru_cache(maxsize=512)
def _was_installed(top: str, file: str) -> bool:
    if not any(site in _folder_of(file).parts for site in _SITE):
        try:
            metadata.distribution(top)
        except metadata.PackageNotFoundError:
            return False
    return True


def _file(top: str) -> str | None:
    """The file of the package, or its folder. None for one that is not loaded yet."""
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return file if isinstance(file, str) else None


@lru_cache(maxsize=512)
def _folder_of(file: str) -> Path:
    """Where the package with this file is; for a module that is one file, that file."""
    return Path(file).parent if Path(file).name.startswith("__init__.") else Path(file)


class Libraries:
    """Tells what is a library's for the package ``own``, which is followed and never a library itself."""

    def __init__(self, own: str) -> None:
        self._own = own

    def has(self, thing: Any) -> bool:
        """Whether a function, class or module is a library's own."""
        top = top_of(getattr(thing, "__module__", None) if not isinstance(thing, ModuleType) else thing.__name__)
        return bool(top) and top != self._own and is_library(top) and _is_genuine(thing, top)

    def has_code(self, function: FunctionType) -> bool:
        """Whether the code of a function is a library's, whatever the function calls itself."""
        return top_of(function.__globals__.get("__name__")) != self._own and is_of_library_file(function)

    def name_of(self, thing: Any) -> str:
        """What it is called in its library."""
        if isinstance(thing, ModuleType):
            return thing.__name__
        return f"{thing.__module__}:{getattr(thing, '__qualname__', None) or getattr(thing, '__name__', '')}"


def _is_genuine(thing: Any, top: str) -> bool:
    if isinstance(thing, FunctionType):
        file, inner = thing.__code__.co_filename, getattr(thing, "__wrapped__", None)
        if inner is not None and is_of_library_file(thing):  # what a library's decorator has put around it
            return _is_genuine(inner, top)
        was_made_up = file.startswith("<")  # such as "<string>"
        return _is_file_of(file, top) or (was_made_up and is_found_by_name(thing))
    return isinstance(thing, (ModuleType, type, *_IN_C)) or is_found_by_name(thing)


def is_of_library_file(function: FunctionType) -> bool:
    """Whether a function's code is in a file of the library whose names it uses."""
    top = top_of(function.__globals__.get("__name__"))
    return is_library(top) and _is_file_of(function.__code__.co_filename, top)


def _is_file_of(file: str, top: str) -> bool:
    is_python = top in _OF_PYTHON
    if is_python and file.startswith("<frozen "):
        return True
    of_package = os.__file__ if is_python else _file(top)
    return of_package is not None and _is_beside(file, of_package, is_python)


@lru_cache(maxsize=4096)
def _is_beside(file: str, of_package: str, is_python: bool) -> bool:
    """Whether a file is the package's that has the other one. By texts, which are hashed once; paths are each time."""
    path, folder = Path(file), _folder_of(of_package)
    if is_python:
        return path.is_relative_to(folder.parent) and not any(site in path.parts for site in _SITE)
    return path == folder or path.is_relative_to(folder)


def is_found_by_name(thing: Any) -> bool:
    """Whether it stands where it says that it does: what was put in the place of another does not."""
    found: Any = sys.modules.get(str(getattr(thing, "__module__", None)))
    for name in str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")).split("."):
        found = getattr(found, name, None)
    return found is thing


@lru_cache(maxsize=512)
def version_of(top: str) -> str | None:
    """The version of the distribution that the package ``top`` comes from; None for what came with Python."""
    if top in _OF_PYTHON:
        return None
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(top)
    return next(iter(map(metadata.version, _distributions().get(top, ()))), None)


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
