"""``chatterbox-cached path``: where the voices are."""

from __future__ import annotations

from ..errors import NotCachedError
from .common import CacheDir, settings_for


def command(cache_dir: CacheDir = None) -> None:
    """Print the cache folder.

    Example: du -sh "$(chatterbox-cached path)"
    """
    folder = settings_for(cache_dir).cache_dir
    if folder is None:
        raise NotCachedError("There is no cache folder: this user has no home folder. Give one with --cache-dir.")
    print(folder)
