"""Works out each reference voice of Chatterbox TTS once, ever: ``chatterbox_cached.enable()``."""

from .cache import ConditionalCache
from .errors import (
    CacheWarning,
    ChatterboxCachedError,
    ExaggerationMismatchError,
    ExaggerationMismatchWarning,
    NotCachedError,
    SettingsError,
    VoiceFileError,
)
from .patching import autostart as _autostart
from .patching.activation import disable, enable, enabled, get_cache, is_enabled, stats
from .patching.proxies import CachedMultilingualTTS, CachedTTS
from .settings import Settings
from .tiers.disk.repair import CheckReport
from .upstream.context import disabled
from .verification import Verification

__version__ = "0.1.0"

__all__ = [
    "CacheWarning",
    "CachedMultilingualTTS",
    "CachedTTS",
    "ChatterboxCachedError",
    "CheckReport",
    "ConditionalCache",
    "ExaggerationMismatchError",
    "ExaggerationMismatchWarning",
    "NotCachedError",
    "Settings",
    "SettingsError",
    "Verification",
    "VoiceFileError",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "get_cache",
    "is_enabled",
    "stats",
]

_autostart.begin()
