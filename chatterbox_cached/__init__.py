"""Works out each reference voice of Chatterbox TTS once, ever: ``chatterbox_cached.enable()``."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    CacheWarning,
    ChatterboxCachedError,
    ExaggerationMismatchError,
    ExaggerationMismatchWarning,
    NotCachedError,
    SettingsError,
    SharedStoreError,
    UnknownVoiceError,
    VoiceFileError,
    VoiceLibraryError,
    VoiceNameError,
)
from .patching import autostart as _autostart
from .patching.activation import disable, enable, enabled, get_cache, is_enabled, stats
from .settings import Settings
from .upstream.context import disabled

if TYPE_CHECKING:
    from .cache import ConditionalCache
    from .named.record import NamedVoice
    from .patching.proxies import CachedMultilingualTTS, CachedTTS, CachedTurboTTS, CachedVC
    from .serving.own_voice import builtin_voice
    from .tiers.disk.repair import CheckReport
    from .verification import Verification
    from .voice_library import voices

__version__ = "0.1.0"

__all__ = [
    "CacheWarning",
    "CachedMultilingualTTS",
    "CachedTTS",
    "CachedTurboTTS",
    "CachedVC",
    "ChatterboxCachedError",
    "CheckReport",
    "ConditionalCache",
    "ExaggerationMismatchError",
    "ExaggerationMismatchWarning",
    "NamedVoice",
    "NotCachedError",
    "Settings",
    "SettingsError",
    "SharedStoreError",
    "UnknownVoiceError",
    "Verification",
    "VoiceFileError",
    "VoiceLibraryError",
    "VoiceNameError",
    "builtin_voice",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "get_cache",
    "is_enabled",
    "stats",
    "voices",
]

# What loads more than enable() needs is loaded when it is asked for, by the module that it is in.
_LOADED_LATE = {
    "CachedMultilingualTTS": "patching.proxies",
    "CachedTTS": "patching.proxies",
    "CachedTurboTTS": "patching.proxies",
    "CachedVC": "patching.proxies",
    "CheckReport": "tiers.disk.repair",
    "ConditionalCache": "cache",
    "NamedVoice": "named.record",
    "Verification": "verification",
    "builtin_voice": "serving.own_voice",
    "voices": "voice_library",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return _import_module(f"{__name__}.metrics")
    if name not in _LOADED_LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_LOADED_LATE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_autostart.begin()
