"""Which code has prepared voices in this process so far."""

from __future__ import annotations

from .running import RunningCode
from .things import digest
from .watching import Watched


class History:
    """Chatterbox fills tables at its first preparation and keeps them. Once code was replaced after that, what is in
    them may be another code's work, and so may be what comes out: from then on, nothing lasts beyond the process.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Watched] = {}
        self._mixed = False

    def enter(self, code: RunningCode) -> None:
        """Take note of code that is about to prepare; where it follows on other code, it does not last."""
        self._mixed = self._mixed or not all(watched.is_unchanged() for watched in self._seen.values())
        if self._mixed:
            code.uncertain = code.uncertain or "code was replaced after it had prepared"
            code.digest = digest("after other code", code.digest)
        elif code.lasts:
            self._seen[code.digest] = code.shared
