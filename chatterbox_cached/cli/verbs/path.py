"""``chatterbox-cached path``: where the voices are."""

from __future__ import annotations

import os
import sys

from ...settings import folder_of
from ..common import CacheDir, settings_for


def command(cache_dir: CacheDir = None) -> None:
    """Print the cache folder.

    Example: du -sh "$(chatterbox-cached path)"
    """
    folder = folder_of(settings_for(cache_dir))
    sys.stdout.buffer.write(os.fsencode(folder) + b"\n")  # a script needs the name itself, whatever can be shown
