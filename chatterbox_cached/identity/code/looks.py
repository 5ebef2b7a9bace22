"""Something was read of a model, and is believed only as long as a look says that it stands."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

FULL_LOOK_SECONDS = 0.01


class Looked(ABC):
    """A look is taken at every call. The full one, which sees everything, is taken whenever the last is older than
    ``FULL_LOOK_SECONDS``, which is shorter than any generation; or at every call, where nothing need be generated
    between two. In all other calls it is the quick one.
    """

    def __init__(self, *, in_full_each_time: bool = False) -> None:
        self._looked, self._changed, self._each_time = time.monotonic(), False, in_full_each_time

    def holds(self, model: Any) -> bool:
        """Whether what was read of ``model`` is still so.

        Once a full look has seen a change, never again: the next question may come before the next full look is due.
        """
        if self._changed:
            return False
        is_due = self._each_time or time.monotonic() - self._looked >= FULL_LOOK_SECONDS
        return self._full_look(model) if is_due else self.stands(model)

    def _full_look(self, model: Any) -> bool:
        began = time.monotonic()  # what is changed while it looks may have been looked at already
        self._changed = not self.stands_in_full(model)
        self._looked = began
        return not self._changed

    @abstractmethod
    def stands(self, model: Any) -> bool:
        """The quick look."""

    @abstractmethod
    def stands_in_full(self, model: Any) -> bool:
        """The full look, which sees all that the quick one does, and more."""
