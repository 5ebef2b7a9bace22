"""Which voice is meant by VOICE: an audio file, or the beginning of the SHA-256 that a voice goes by."""

from __future__ import annotations

import re

from ..audio import AudioIndex
from ..errors import NotCachedError, Unidentifiable
from ..tiers.disk import DiskTier

_BEGINNING = re.compile(r"[0-9a-f]{4,64}")


def digest_of(voice: str, tier: DiskTier) -> str:
    """The SHA-256, in hex, of the audio that is meant; of a voice that is not kept it must be the whole.

    Raises NotCachedError where it is neither an audio file nor the beginning of one voice only.
    """
    try:
        return AudioIndex().identify(voice).digest
    except Unidentifiable:
        pass
    beginning = voice.lower()
    if _BEGINNING.fullmatch(beginning) is None:
        raise NotCachedError(f"{voice} is no audio file that can be read, and no beginning of a voice's digest.")
    if len(beginning) == 64:
        return beginning
    found = sorted({key.split("/")[1] for key in tier.keys() if key.count("/") == 2})  # noqa: SIM118
    meant = [digest for digest in found if digest.startswith(beginning)]
    if len(meant) != 1:
        many = f"{len(meant)} voices begin" if meant else "No voice begins"
        raise NotCachedError(f"{many} with {voice}. Give an audio file or more of the digest.")
    return meant[0]
