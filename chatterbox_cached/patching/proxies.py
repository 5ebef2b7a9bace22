"""CachedTTS and its sisters: a proxy around one model that prepares through a cache. Nothing else is touched."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from typing import Any, ClassVar

import wrapt

from ..cache import ConditionalCache
from ..settings import with_user_folder
from ..upstream.calls import unproxied
from ..upstream.families import Family, family_of, generates, named, overrides
from . import interception
from .activation import get_cache, shared_cache


class CachedModel(wrapt.BaseObjectProxy):  # type: ignore[type-arg]
    """Base of the drop-ins. Every attribute is the model's, and setting one sets the model's.

    ``model``: the model, or a proxy around it. ``cache``: where its voices are kept; by default the cache that
    ``enable()`` uses, whether that is in force or not.
    Raises TypeError for a model of another class.
    """

    _family: ClassVar[Family]

    def __init__(self, model: Any, cache: ConditionalCache | None = None) -> None:
        plain = unproxied(model)
        if family_of(plain) is not self._family:
            raise TypeError(
                f"{type(self).__name__} is for {self._family.class_name} of {self._family.module}, not for"
                f" {type(plain).__module__}.{type(plain).__qualname__}."
            )
        super(CachedModel, self).__init__(plain)  # noqa: UP008  a proxy's __class__ confuses the short form
        self._self_cache = cache
        # Made here and not at the first call, so that an impossible setting in the environment is an error at once.
        self._self_default = cache or shared_cache(with_user_folder({}))

    @classmethod
    def from_pretrained(cls, *args: Any, cache: ConditionalCache | None = None, **kwargs: Any) -> Any:
        """The published model, loaded by upstream's ``from_pretrained`` with the same arguments, such as device."""
        return cls(cls._upstream().from_pretrained(*args, **kwargs), cache)

    @classmethod
    def from_local(cls, *args: Any, cache: ConditionalCache | None = None, **kwargs: Any) -> Any:
        """A model from a folder, loaded by upstream's ``from_local`` with the same arguments."""
        return cls(cls._upstream().from_local(*args, **kwargs), cache)

    @classmethod
    def _upstream(cls) -> Any:
        return getattr(importlib.import_module(cls._family.module), cls._family.class_name)

    @property
    def cache(self) -> ConditionalCache:
        """The cache that this model's voices are kept in."""
        return self._self_cache or get_cache() or self._self_default

    def __getattr__(self, name: str) -> Any:
        model, family = self.__wrapped__, self._family
        found = getattr(model, name)
        if not inspect.ismethod(found) or found.__self__ is not model or name in vars(model):
            return found
        if name == family.prepare:
            # A subclass's own way to prepare can't be identified; what it calls below it may still be cached.
            return found if overrides(model, name, family) else wrapt.FunctionWrapper(found, self._self_prepare)
        # A method runs with the proxy as its self, so that what it prepares on itself comes by here.
        bound = inspect.getattr_static(type(model), name).__get__(self, type(model))
        if generates(type(model), name, family):
            return wrapt.FunctionWrapper(bound, functools.partial(self._self_generate, name))
        return bound

    def _self_prepare(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return interception.prepare(*self._self_call(self._family.prepare), wrapped, args, kwargs)

    def _self_generate(self, name: str, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return interception.generate(*self._self_call(name), wrapped, args, kwargs)

    def _self_call(self, name: str) -> tuple[ConditionalCache, Any, Family, Any]:
        model = self.__wrapped__
        return self.cache, model, self._family, inspect.getattr_static(type(model), name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.__wrapped__, self._self_cache)

    def __copy__(self) -> CachedModel:
        return type(self)(copy.copy(self.__wrapped__), self._self_cache)

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedModel:
        return type(self)(copy.deepcopy(self.__wrapped__, memo), self._self_cache)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} around {self.__wrapped__!r}>"


class CachedTTS(CachedModel):
    """Drop-in for ``chatterbox.tts.ChatterboxTTS`` (English)."""

    _family = named("english")


class CachedMultilingualTTS(CachedModel):
    """Drop-in for ``chatterbox.mtl_tts.ChatterboxMultilingualTTS``."""

    _family = named("multilingual")


class CachedTurboTTS(CachedModel):
    """Drop-in for ``chatterbox.tts_turbo.ChatterboxTurboTTS``, Nano included."""

    _family = named("turbo")


class CachedVC(CachedModel):
    """Drop-in for ``chatterbox.vc.ChatterboxVC``, which converts speech to the voice of a reference."""

    _family = named("vc")
