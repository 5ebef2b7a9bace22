"""Loaded by every Python that starts with ``CHATTERBOX_CACHED`` set: turns the cache on once Chatterbox is imported.

``chatterbox_cached.pth`` lies beside this file in site-packages and loads it. Until Chatterbox is imported, nothing of
the package is: most Pythons that start never import it, and start-up stays as quick as it was. A copy of Chatterbox may
have any name, but it imports ``s3tokenizer``.
"""

from __future__ import annotations

import os
import sys

_OFF = ("", "0", "false", "no", "off")
_AWAITED = ("chatterbox", "s3tokenizer")


class _Waiting:
    """A finder that finds nothing; it only sees that Chatterbox is about to be imported."""

    done = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in _AWAITED and not self.done:
            self.done = True
            _turn_on()


def _turn_on() -> None:
    try:
        from chatterbox_cached.patching import autostart

        problem = autostart.problem
    except Exception as error:  # it would break the program's own import
        problem = f"{type(error).__name__}: {error}"
    if problem and sys.stderr is not None:
        print(f"chatterbox-cached: the program runs without the cache: {problem}", file=sys.stderr)


if os.environ.get("CHATTERBOX_CACHED", "").strip().lower() not in _OFF:
    sys.meta_path.insert(0, _Waiting())
