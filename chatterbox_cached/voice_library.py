"""``chatterbox_cached.voices``: the voices that have names, of the cache in use or, where none is, of the user."""

from __future__ import annotations

from .cache import ConditionalCache
from .library.named_voices import Voices
from .patching.activation import get_cache, shared_cache
from .settings import with_user_folder


def _cache() -> ConditionalCache:
    return get_cache() or shared_cache(with_user_folder({}))


voices = Voices(_cache)
