"""For the log: why a call was what it was."""

from __future__ import annotations

import contextlib
from typing import Any

from ..identity import compatibility
from ..identity.key import Key
from ..identity.origin import elsewhere, setup_of
from ..tiers.store import VoiceStore
from ..voice.snapshot import Snapshot


def why_no_hit(store: VoiceStore, key: Key, refresh: bool) -> str:
    """Which part of the key is new, going by what is kept below memory of the same voice."""
    kept = store.made_by(key.audio.digest)
    if refresh or not kept:
        return "it was asked to be prepared anew" if refresh else "nothing is kept of this audio"
    parts = compatibility.new_parts(key.made_by, kept)
    return f"this voice is kept of other {' and '.join(parts)}" if parts else "what is kept of it can't be used"


def made_elsewhere(snapshot: Snapshot, device: Any) -> str:
    """That another set-up made it, and which."""
    with contextlib.suppress(Exception):  # a device that can't be asked
        if apart := elsewhere(snapshot.origin, setup_of(device)):
            return f"; made elsewhere: {'; '.join(apart)}"
    return ""
