"""What of libraries a program has replaced, wherever in the library it is used.

Chatterbox's own code is followed function by function, a library's is not. So the namespaces of those libraries that
compute what a voice becomes are looked through instead: a function, a class or anything else to call that stands in one
of them and is not a library's was put there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from .libraries import Libraries, is_of_python, is_programs, top_of
from .values import PARTIAL
from .watching import Watched

# All modules whose names begin so, with their classes, and these modules by themselves.
_PACKAGES = (
    "librosa.", "s3tokenizer.", "torchaudio.functional.", "torchaudio.compliance.", "torchaudio.transforms.",
    "audioread.", "soxr.", "soundfile.", "pyloudnorm.",
)  # fmt: skip
_MODULES = (
    "torch", "torch.functional", "torch.nn.functional", "torch._C._nn", "torchaudio", "numpy", "numpy.fft",
    "scipy.signal", "scipy.fft",
)  # fmt: skip
_CLASSES = (("torch", "Tensor"),)


def replaced(libraries: Libraries, watched: Watched) -> Iterator[tuple[str, Any]]:
    """Each such thing, with its place as ``module.name``; ``watched`` notes where they all stand."""
    modules: dict[str, Any] = dict(sys.modules)
    for name, module in modules.items():
        is_whole = f"{name}.".startswith(_PACKAGES)
        if isinstance(module, ModuleType) and (name in _MODULES or is_whole):
            yield from _replaced_in(name, vars(module), libraries, watched, classes=is_whole)
            for kind in _classes_of(module) if is_whole else ():
                yield from _replaced_in(f"{name}.{kind.__qualname__}", kind, libraries, watched)
    for name, class_name in _CLASSES:
        found: Any = getattr(sys.modules.get(name), class_name, None)
        if isinstance(found, type):
            yield from _replaced_in(f"{name}.{class_name}", found, libraries, watched)


def _classes_of(module: ModuleType) -> list[type]:
    own = vars(module).values()
    return [value for value in list(own) if isinstance(value, type) and value.__module__ == module.__name__]


def _replaced_in(
    place: str, holder: Any, libraries: Libraries, watched: Watched, *, classes: bool = False
) -> Iterator[tuple[str, Any]]:
    if isinstance(holder, type):
        watched.whole(holder)
    for name, value in list((vars(holder) if isinstance(holder, type) else holder).items()):
        if isinstance(value, type) and not classes:
            continue
        if callable(value) or isinstance(value, PARTIAL):
            watched.item(holder, name)
            if was_put(place, value, libraries):
                yield f"{place}.{name}", value


def was_put(place: str, thing: Any, libraries: Libraries) -> bool:
    """Whether ``thing``, which stands in a library, is not the library's."""
    if type(thing) is FunctionType:
        return not _is_of(place, thing, libraries)
    if isinstance(thing, PARTIAL):
        return True
    if hasattr(type(thing), "_self_wrapper"):  # of wrapt: it says that it is what it is around
        return was_put(place, thing._self_wrapper, libraries)
    # What has no class of its own, such as a compiled function or a method, says where it is from.
    return any(is_programs(top_of(getattr(each, "__module__", None))) for each in (thing, type(thing)))


def _is_of(place: str, function: Any, libraries: Libraries) -> bool:
    """Whether a function is the library's that it is in, or one of another that it may have from there."""
    top = top_of(place)
    from_where = top_of(function.__globals__.get("__name__"))
    if from_where == top and function.__code__.co_filename.startswith("<"):
        return True  # a dataclass's own
    return libraries.has_code(function) and (top != "torch" or from_where == top or is_of_python(from_where))
