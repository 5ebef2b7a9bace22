"""Preparations that gain nothing: counted each time by their reason, and told of once where that lasts."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Unidentifiable
from .failures import Failures
from .stats import Stats

_HERE_ONLY = "kept in this process only"
_UNSIGNED = "no key to sign with"
# What to do, for reasons that a program can do something about. It is told when the reason comes up again, or at once
# where there is more to say of what happened. For what the user asked for, or upstream reports itself, there is none.
_ADVICE: Mapping[str, str] = {
    "audio is neither a path nor a file object": "Pass a path, or a binary file object at its start.",
    "file object is not at its start": "Call seek(0) on it first.",
    "file object gives no bytes": "Open the file in binary mode, as with open(path, 'rb').",
    "audio is not a regular file": "Give the path of a plain file.",
    "arguments don't fit the method": "Let prepare_conditionals take its arguments by their names, as upstream's does.",
    "preparation does more than prepare": "A hit would leave that out. Do it beside prepare_conditionals, not in it.",
    "preparation returns what can't be told": "Let it return nothing, or the model's conditionals.",
    "prepare method is overridden": "Put the change onto the class, and onto no instance or subclass of it.",
    "model is not built as expected": "Please report which Chatterbox this is, so that it can be supported.",
    "class is not cached": "Please report which Chatterbox this is, so that it can be supported.",
    "an argument that can't be part of a key": "Pass numbers, texts, True, False or None.",
    "exaggeration is not a number": "Pass a number.",
    "unexpected conditionals": "Please report which Chatterbox this is, so that it can be supported.",
    "conditionals on several devices": "Move the whole model to one device.",
    "unexpected result": "Please report which Chatterbox this is, so that it can be supported.",
    "waveform of an unknown kind": "Pass the encoders plain NumPy arrays or tensors of numbers.",
    "another call was on the model": "Let calls take turns (take_turns=True), or give each thread a model of its own.",
    "the preparation left the conditionals as they were": "Let it set them anew.",
    "voice was forgotten": "It was forgotten on all machines; lift(), or `chatterbox-cached lift`, has it kept again.",
    "hooks on the encoders": "Remove the hooks to have voices cached.",
    "weights are not in memory": "Load the model onto a device to have its voices cached.",
    "weights that compute themselves": "Give it weights that are plain tensors to have its voices cached.",
    "model is in training mode": "Call .eval() on it to have its voices cached.",
    _HERE_ONLY: "To keep them on disk too, put the change onto the class or module before the first voice is prepared,"
    " as a function that depends on plain values alone.",
    _UNSIGNED: "Prepare voices where the signing_key is, as with: chatterbox-cached warm",
}


def advice_for(reason: str) -> str:
    """What to do about bypasses, or misses that were not kept, for this reason; "" where there is nothing to do."""
    return _ADVICE.get(reason, "")


class Bypasses:
    """Those of one cache."""

    def __init__(self, stats: Stats, failures: Failures) -> None:
        self._stats, self._failures = stats, failures
        self._seen: set[str] = set()

    def count(self, doubt: Unidentifiable) -> None:
        """A preparation went round the cache, because of this."""
        self._stats.bypass(doubt.reason)
        if doubt.told_at_once:
            self._failures.warn_once(doubt.reason, f"{doubt.told_at_once} {advice_for(doubt.reason)}".rstrip())
        self._tell(doubt)

    def count_not_stored(self, doubt: Unidentifiable) -> None:
        """What a preparation made was not kept, because of this."""
        self._stats.not_stored(doubt.reason)
        self._tell(doubt)

    def count_kept_here_only(self, uncertain: str) -> None:
        """What a preparation made is kept by this process only, because it can't be told what ``uncertain`` does."""
        self._stats.not_stored(_HERE_ONLY)
        self._failures.warn_once(
            _HERE_ONLY,
            f"What the preparation runs can't be told for certain ({uncertain}), so its voices are kept in the memory"
            f" of this process only and prepared anew in the next. {advice_for(_HERE_ONLY)}",
        )

    def count_unsigned(self) -> None:
        """What a preparation made is kept by this process only, because it could not be signed."""
        self._stats.not_stored(_UNSIGNED)
        self._failures.warn_once(
            _UNSIGNED,
            "With verify_keys and no signing_key, entries can be checked here but not signed, so what is prepared here"
            f" is kept in the memory of this process only and prepared anew in the next. {advice_for(_UNSIGNED)}",
        )

    def _tell(self, doubt: Unidentifiable) -> None:
        if doubt.reason in self._seen and (advice := advice_for(doubt.reason)):
            why = f"{doubt.reason}: {doubt.detail}" if doubt.detail else doubt.reason
            self._failures.warn_once(doubt.reason, f"Voices are prepared by upstream every time ({why}). {advice}")
        self._seen.add(doubt.reason)
