"""Property tests leave nothing behind, and a slow machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("chatterbox_cached", max_examples=60, deadline=None, database=None)
settings.load_profile("chatterbox_cached")
