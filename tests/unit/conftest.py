"""Property tests leave nothing behind, and a slow machine is no failure."""

from __future__ import annotations

import os

from hypothesis import settings

# `make fuzz` asks for many more.
_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
settings.register_profile("chatterbox_cached", max_examples=_EXAMPLES, deadline=None, database=None)
settings.load_profile("chatterbox_cached")
