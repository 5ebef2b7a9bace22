"""Sees that a copy of Chatterbox is in use, under whatever name a program has brought it.

Each copy has a class of its own below ``S3TokenizerV2`` of the package ``s3tokenizer``. When the first of its instances
becomes a part of an S3Gen, all that a preparation needs is loaded, and nothing is prepared yet. Only a voice encoder
may come later.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import import_hook

MODULE, CLASS = "s3tokenizer.model_v2", "S3TokenizerV2"
VOICE_ENCODER = "embeds_from_wavs"


def tokenizers() -> list[type]:
    """The classes directly below ``S3TokenizerV2``, of which each copy has one."""
    base: Any = getattr(sys.modules.get(MODULE), CLASS, None)
    return [] if base is None else base.__subclasses__()


class _Watch:
    """PyTorch's hook on what becomes a part of a module; ``begin`` and ``end`` may be called any number of times."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._seen: weakref.WeakSet[type] = weakref.WeakSet()
        self._act: Callable[[], None] = lambda: None

    def begin(self, act: Callable[[], None]) -> None:
        """Have ``act`` called now, and each time that there is a copy which was not there before."""
        self._act = act
        import_hook.after_import(MODULE, self._look_from_now_on)
        if (module := sys.modules.get(MODULE)) is not None:
            self._look_from_now_on(module)

    def end(self) -> None:
        """Look no longer."""
        self._act = lambda: None
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _look_from_now_on(self, _: ModuleType) -> None:
        register = getattr(sys.modules.get("torch.nn.modules.module"), "register_module_module_registration_hook", None)
        if self._handle is None and register is not None:
            self._handle = register(self._sees)
        self._act()

    def _sees(self, module: Any, _name: str, part: Any) -> None:
        tokenizer = getattr(sys.modules.get(MODULE), CLASS, None)
        if tokenizer is None:
            return
        whole, kind = type(module), type(part)
        for each in [kind] if isinstance(part, tokenizer) else [whole] if hasattr(whole, VOICE_ENCODER) else ():
            if each not in self._seen:
                self._seen.add(each)
                self._act()


_watch = _Watch()
begin, end = _watch.begin, _watch.end
