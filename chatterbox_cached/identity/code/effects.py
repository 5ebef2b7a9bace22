"""What a preparation does besides setting the conditionals.

A hit runs nothing, so it can stand only for code that sets the conditionals, decided by the audio and the arguments
alone, and does nothing else that a program could notice. What it prints and logs does not count, nor do the tables that
the encoders fill.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import ModuleType
from typing import Any

from .chance import draws, unseen
from .explorer import CONSTRUCTORS, FILL, Explorer, Visit
from .libraries import top_of
from .own_notes import keeps_to_itself
from .preparing import Preparing
from .symbols import Attr, Call, Called, Free, Global, Items, Local, Star, Symbol, Within
from .tensors import is_torch_module
from .values import Bound, Live, Made, OfLibrary, Value, function_of, wrapped_in

# What is called of these packages only computes. Of Python's own, all but _DO_SOMETHING does.
_COMPUTE = frozenset({
    "torch", "torchaudio", "librosa", "numpy", "scipy", "soundfile", "soxr", "s3tokenizer", "pyloudnorm", "einops",
    "builtins", "math", "functools", "itertools", "operator", "collections", "contextlib", "copy", "dataclasses",
    "enum", "numbers", "pathlib", "posixpath", "ntpath", "genericpath", "re", "statistics", "string", "typing", "types",
    "abc", "cmath", "fractions", "logging", "loguru", "time", "tqdm", "warnings",
})  # fmt: skip
_DO_SOMETHING = frozenset({
    "input", "exec", "eval", "compile", "setattr", "delattr", "breakpoint", "globals", "vars", "locals",
    "__import__", "save", "manual_seed", "set_num_threads", "set_default_dtype", "seed", "unlink", "rename", "replace",
    "mkdir", "rmdir", "touch", "chmod", "write_text", "write_bytes", "savetxt", "tofile", "write",
})  # fmt: skip
_LOG = frozenset({"logging", "loguru", "warnings"})
# These read a file, so it must be the audio.
_READ = frozenset({
    "load", "read", "open", "info", "fromfile", "loadtxt", "genfromtxt", "memmap", "stream", "blocks", "exists",
    "isfile", "is_file", "stat", "getsize", "getmtime", "read_text", "read_bytes", "iterdir", "glob", "rglob",
})  # fmt: skip
# Of what these change, a table may be filled by any function, by its other methods and by its items.
_CHANGE = FILL - {"update", "setdefault"}
_READ_OF_MODULE = frozenset({
    "parameters", "named_parameters", "buffers", "named_buffers", "modules", "named_modules", "children", "state_dict",
    "forward", "__call__", "get_parameter", "get_buffer", "get_submodule",
})  # fmt: skip


def effect_of(explorer: Explorer, preparing: Preparing, root: Any, audio: str) -> str | None:
    """What ``root`` does besides, as a phrase such as "sets last_voice"; None for nothing.

    ``audio`` is the name of the argument that is the reference audio.
    """
    if preparing.reads_what_was_there(root):
        return "reads the conditionals that were there before"
    effects = _Effects(explorer, preparing, audio)
    for visit in preparing.visits_of(root):
        names = {audio} if audio in _parameters(visit) else {*_rest(visit)}
        for found in effects.of_whole(visit, frozenset(names)):
            return found
    return next(effects.of_encoders(), None)


def effect_of_encoders(explorer: Explorer, preparing: Preparing) -> str | None:
    """The same of a method of the encoders by itself."""
    return next(_Effects(explorer, preparing, "").of_encoders(), None)


class _Effects:
    def __init__(self, explorer: Explorer, preparing: Preparing, audio: str) -> None:
        self._explorer, self._preparing, self._audio = explorer, preparing, audio
        self._seen: set[tuple[int, frozenset[str]]] = set()
        self._whole: set[int] = set()

    def of_whole(self, visit: Visit, audio: frozenset[str]) -> Iterator[str]:
        """What a function does of which a hit spares the caller all, and what those do that it calls.

        ``audio`` are those of its arguments that can only be the reference audio, as it was given.
        """
        if (id(visit), audio) in self._seen:
            return
        self._seen.add((id(visit), audio))
        self._whole.add(id(visit))
        if visit.uses.yields:
            yield "gives its result piece by piece"
        made = isinstance(visit.owner, Made)  # what such a method does, it does to something new
        if not made:
            yield from self._sets(visit)
        for call, values in visit.called:
            for value in values:
                yield from self._makes(value)
                inner = self._preparing.visits_of(function_of(value))
                if inner and not self._is_encoders(visit, call, value):
                    for each in inner:
                        passed = self._passed_on(visit, call, each, audio, is_method=isinstance(value, Bound))
                        yield from self.of_whole(each, passed)
                else:
                    yield from self._does(visit, call, value, made, audio)

    def _makes(self, value: Value) -> Iterator[str]:
        """What making an instance of a class does besides."""
        kind = function_of(value)
        for each in kind.__mro__ if isinstance(kind, type) and kind in self._explorer.kinds else ():
            for name in CONSTRUCTORS:
                for visit in self._preparing.visits_of(vars(each).get(name)):
                    yield from self.of_whole(visit, frozenset())

    def of_encoders(self) -> Iterator[str]:
        """What the encoders do that a program could notice, and what of all functions is not decided by the key."""
        for visit in self._explorer.visits.values():
            yield from (*self._draws(visit), *unseen(visit))
            if id(visit) in self._whole or isinstance(visit.owner, Made):
                continue
            yield from (f"sets {name}" for name in sorted(visit.uses.globals_set))
            yield from (f"sets {name}" for symbol, name in visit.uses.attributes_set if _stays(visit, symbol))
            for call, _ in visit.called:
                symbol = call.function
                if not (isinstance(symbol, Attr) and symbol.name in _CHANGE and _stays(visit, symbol.base)):
                    continue
                if not keeps_to_itself(visit, symbol.base):
                    yield f"calls {symbol.name} of something that stays"

    def _draws(self, visit: Visit) -> Iterator[str]:
        for call, values in visit.called:
            if any(self._preparing.visits_of(function_of(value)) for value in values):
                continue
            if draws(visit, call, values, _name(call, values)):
                yield "draws random numbers"

    def _sets(self, visit: Visit) -> Iterator[str]:
        uses = visit.uses
        for symbol, name in uses.attributes_set:
            is_slot = name == self._preparing.slot and self._preparing.is_model(visit, symbol)
            if not is_slot and not self._is_of_conditionals(visit, symbol):
                yield f"sets {name}"
        for symbol in uses.items_set:
            if not all(self._is_of_conditionals(visit, each) for each in _found_as(visit, symbol)):
                yield "sets items of what it was given, or of what stays"
        yield from (f"sets {name}" for name in sorted(uses.globals_set))

    def _is_of_conditionals(self, visit: Visit, symbol: Symbol) -> bool:
        """Whether this is the conditionals that the model has, or a part of them."""
        while isinstance(symbol, Attr) and not self._preparing.is_slot(visit, symbol):
            symbol = symbol.base
        return isinstance(symbol, Attr)

    def _is_encoders(self, visit: Visit, call: Called, value: Value) -> bool:
        """Whether this is a method of one of the model's modules, or what was put there in place of one."""
        owners: tuple[Value, ...] = (value.owner,) if isinstance(value, Bound) else ()
        if isinstance(value, Live) and isinstance(call.function, Attr):
            owners = visit.resolve(call.function.base)
        return any(isinstance(owner, Live) and is_torch_module(owner.thing) for owner in owners)

    def _passed_on(
        self, visit: Visit, call: Called, inner: Visit, audio: frozenset[str], *, is_method: bool
    ) -> frozenset[str]:
        """Those arguments of ``inner`` that are the audio when it is called so."""
        names = _parameters(inner)[is_method:] or _rest(inner)[:1]
        by_position = call.given[: len(call.given) - len(call.names)]
        passed = set[str]()
        for position, symbol in enumerate(by_position):
            if isinstance(symbol, Star):
                if symbol.symbol is None or _is_given(visit, symbol.symbol, audio):
                    passed.update({self._audio} & {*names} or names[position : position + 1])
                break
            if position < len(names) and _is_given(visit, symbol, audio):
                passed.add(names[position])
        for name, symbol in zip(call.names, call.given[len(by_position) :], strict=True):
            if _is_given(visit, symbol, audio):
                passed.add(name)
        return frozenset(passed)

    def _does(self, visit: Visit, call: Called, value: Value, made: bool, audio: frozenset[str]) -> Iterator[str]:
        """What a call does that is not followed. ``made``: it is done to something new."""
        function, symbol, name = function_of(value), call.function, _name(call, (value,))
        if _logs(visit, symbol):
            return
        if name in _READ and not _is_of(visit, call, audio):
            yield f"calls {name}, which may read what is not in the audio"
        elif isinstance(value, OfLibrary):
            if name in _DO_SOMETHING and not made:
                yield f"calls {name}"
            elif isinstance(symbol, Attr) and _stays(visit, symbol.base) and not (made and _is_own(symbol.base)):
                if keeps_to_itself(visit, symbol.base):
                    return
                yield f"calls {name} of something that stays"
        elif function is None:
            if not isinstance(symbol, Attr) and not _is_within(visit, symbol):
                yield "calls what can't be told"
        elif self._is_encoders(visit, call, value):
            if self._explorer.libraries.has(function) and name not in _READ_OF_MODULE:
                yield f"calls {name} of a module"
        elif not self._only_computes(visit, symbol, function, name, made):
            yield f"calls {name or type(function).__name__}"

    def _only_computes(self, visit: Visit, symbol: Symbol, function: Any, name: str, made: bool) -> bool:
        if (library := self._explorer.library_of(visit, symbol)) is not None or wrapped_in(function) is not None:
            sets = made and name in ("setattr", "delattr")
            return library in _COMPUTE and (name not in _DO_SOMETHING or sets)
        kind = type(function)
        return isinstance(function, type) or is_torch_module(function) or kind.__module__ in ("numpy", "torch")


def _name(call: Called, values: tuple[Value, ...]) -> str:
    """What is called goes by this name."""
    if isinstance(call.function, (Attr, Global)):
        return call.function.name
    return str(getattr(function_of(values[0]), "__name__", "")) if values else ""


def _logs(visit: Visit, symbol: Symbol) -> bool:
    """Whether this is a method of a logger, or a function that logs."""
    holders = [function_of(value) for value in visit.resolve(symbol.base)] if isinstance(symbol, Attr) else []
    names = [each.__name__ if isinstance(each, ModuleType) else type(each).__module__ for each in holders]
    return any(top_of(name) in _LOG for name in names)


def _found_as(visit: Visit, symbol: Symbol) -> list[Symbol]:
    """Where what has this name was found or given from; nothing for what is made within the function."""
    if symbol is None or isinstance(symbol, (Call, Items)):
        return []
    if not isinstance(symbol, Local) or symbol.name in _parameters(visit):
        return [symbol]
    return [each for each in visit.uses.assigned.get(symbol.name, ()) if isinstance(each, (Attr, Free, Global))]


def _is_within(visit: Visit, symbol: Symbol) -> bool:
    """Whether this is a function within the function, whose own calls are looked at as if they were the function's."""
    if isinstance(symbol, Local) and symbol.name not in _parameters(visit):
        assigned = visit.uses.assigned.get(symbol.name, frozenset())
        return bool(assigned) and all(isinstance(each, Within) for each in assigned)
    return isinstance(symbol, Within)


def _is_own(symbol: Symbol) -> bool:
    """Whether this is of an argument or a variable, and not of a module or an enclosing function."""
    while isinstance(symbol, Attr):
        symbol = symbol.base
    return not isinstance(symbol, (Free, Global))


def _stays(visit: Visit, symbol: Symbol) -> bool:
    """Whether this may be something that is there before and after, such as a list or a logger, and no value."""
    return any(isinstance(value, Live) and not _is_value(value.thing) for value in visit.resolve(symbol))


def _is_value(thing: Any) -> bool:
    kinds = (ModuleType, type, str, bytes, int, float, tuple, frozenset)
    # A lock is left as it was found.
    return isinstance(thing, kinds) or type(thing).__module__ in ("torch", "numpy", "_thread", "threading")


def _parameters(visit: Visit) -> tuple[str, ...]:
    """The names of a function's arguments: those that it takes by position, then those by name alone."""
    code = visit.function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _rest(visit: Visit) -> tuple[str, ...]:
    """The names under which a function takes any other arguments, as ``*args`` and ``**kwargs``."""
    code = visit.function.__code__
    count = bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    start = code.co_argcount + code.co_kwonlyargcount
    return code.co_varnames[start : start + count]


def _is_given(visit: Visit, symbol: Symbol, audio: frozenset[str]) -> bool:
    """Whether this is one of the function's arguments ``audio``, as it was given."""
    return isinstance(symbol, Local) and symbol.name in audio and symbol.name not in visit.uses.assigned


def _is_of(visit: Visit, call: Called, audio: frozenset[str]) -> bool:
    """Whether this is called with the audio first, or is a method of something that was made of it, as a path is."""
    if call.given and _is_given(visit, _unstarred(call.given[0]), audio):
        return True
    base = call.function.base if isinstance(call.function, Attr) else None
    made = visit.uses.assigned.get(base.name, frozenset()) if isinstance(base, Local) else {base}
    makers = [each.function for each in made if isinstance(each, Call)]
    calls = [each for each in visit.uses.calls if each.function in makers]
    given = (bool(each.given) and _is_given(visit, _unstarred(each.given[0]), audio) for each in calls)
    return bool(calls) and len(makers) == len(made) and all(given)


def _unstarred(symbol: Symbol) -> Symbol:
    """The first of the arguments ``*args`` is the audio where ``args`` is."""
    return symbol.symbol if isinstance(symbol, Star) else symbol
