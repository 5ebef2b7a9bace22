"""Where the voices that have names live: in the user's data folder, since nothing of them may be thrown away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ..settings import Settings

_APPLICATION = "chatterbox-cached"


class Places(NamedTuple):
    """``prepared``: what was made of them, laid out as a cache folder. ``audio``: recordings that were kept with them.

    ``conditionals``: the ``.pt`` files that some of them came from.
    """

    root: Path

    @property
    def prepared(self) -> Path:
        return self.root / "prepared"

    @property
    def audio(self) -> Path:
        return self.root / "audio"

    @property
    def conditionals(self) -> Path:
        return self.root / "conditionals"


def places_of(settings: Settings) -> Places | None:
    """The places of these settings. None for a user who has no home folder, where none was named."""
    if settings.voices_dir is not None:
        return Places(settings.voices_dir)
    import platformdirs

    try:
        folder = platformdirs.user_data_dir(_APPLICATION, appauthor=False)
    except RuntimeError:  # no home, as newer versions say it
        return None
    if not os.path.isabs(folder):  # as older ones do: "~" where there is no home
        return None
    return Places(Path(folder, "voices"))
