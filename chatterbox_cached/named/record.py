"""One named voice: what is known of it beside what was prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDING, CONDITIONALS = "recording", "conditionals"


@dataclass(frozen=True)
class NamedVoice:
    """A voice that was given a name.

    ``digest``: of what is heard in its recording or, where ``kind`` is "conditionals", of the ``.pt`` file that it came
    from. ``seconds``: the recording's length, None where that is not known. ``source``: where the recording was when it
    was named, or empty. ``audio``: the recording that was kept with it, or None. ``added``: seconds since 1970.
    ``namespace``: that of the stores in which machines share it, or None.
    """

    name: str
    digest: str
    kind: str = RECORDING
    aliases: tuple[str, ...] = ()
    description: str = ""
    consent: str = ""
    seconds: float | None = None
    source: str = ""
    audio: Path | None = None
    added: float = 0.0
    is_default: bool = False
    namespace: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and its aliases."""
        return self.name, *self.aliases

    def facts(self) -> dict[str, Any]:
        """All of it, for a program to read."""
        return {
            "name": self.name,
            "aliases": list(self.aliases),
            "description": self.description,
            "consent": self.consent,
            "digest": self.digest,
            "kind": self.kind,
            "duration": self.seconds,
            "source": self.source or None,
            "audio": self.audio and str(self.audio),
            "added": self.added,
            "default": self.is_default,
            "namespace": self.namespace,
        }
