"""Everything this package raises or warns with."""

from __future__ import annotations


class ChatterboxCachedError(Exception):
    """Base of the errors that are this package's own; upstream's errors are never wrapped in it."""


class SettingsError(ChatterboxCachedError, ValueError):
    """A setting is unknown or impossible; the message names it."""


class NotCachedError(ChatterboxCachedError, KeyError):
    """Asked for a voice of which nothing is kept."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which makes a sentence hard to read.
        return str(self.args[0]) if self.args else ""


class UnknownVoiceError(NotCachedError, FileNotFoundError):
    """No voice has the name that was asked for, or what is kept of it is good for other models only.

    A program that is ready for a missing file is ready for this.
    """


class VoiceNameError(ChatterboxCachedError, ValueError):
    """A text can't be a voice's name, or another voice has it."""


class VoiceLibraryError(ChatterboxCachedError, OSError):
    """The library of named voices can't be used."""


class SharedStoreError(ChatterboxCachedError, OSError):
    """Asked to do something in a store that machines share, and it could not be done there."""


class VoiceFileError(ChatterboxCachedError, ValueError):
    """A ``.pt`` file holds no conditionals in upstream's format."""


class BundleError(ChatterboxCachedError, ValueError):
    """A file is no bundle of voices, or voices can't be made into one."""


class NotInstalledError(ChatterboxCachedError, ImportError):
    """Something needs a package that comes with an extra of this one; the message says what to install."""


class ExaggerationMismatchError(ChatterboxCachedError, ValueError):
    """``on_mismatch="error"``: generate would speak with another exaggeration than was prepared."""


class ExaggerationMismatchWarning(UserWarning):
    """Generate speaks with another exaggeration than was prepared."""


class CacheWarning(UserWarning):
    """The cache could not do its work; the caller got what upstream alone gives."""


class Unidentifiable(ChatterboxCachedError):
    """A call can't be identified with certainty. A preparation then goes round the cache; the caller never sees this.

    ``reason`` is short and the same for all calls of its kind, since the statistics count by it.
    ``told_at_once`` is set where the user should hear of it at once: what happened. ``detail`` says more of the reason
    where the user hears of it because it lasts. What to do is accounting.bypasses' affair.
    """

    def __init__(self, reason: str, told_at_once: str | None = None, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.told_at_once, self.detail = reason, told_at_once, detail


class EntryError(ChatterboxCachedError):
    """Internal: a stored entry is not what it should be; it counts as absent."""


class SignatureError(EntryError):
    """Internal: a stored entry is not signed with any of the keys; it counts as absent."""


class NotWritten(OSError):
    """Internal: ``count`` entries that were to be put into a store that machines share were given up."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} entries were not written: too many waited, or too long")
        self.count = count


class NetworkFolder(OSError):
    """Internal: the folder is on a network file system, where SQLite's locks can't be relied on."""


class ReadOnlyFolder(OSError):
    """Internal: something was to be kept in, or dropped from, a folder that can only be read."""


class UntrustedFolder(OSError):
    """Internal: another user could have put voices into the folder."""


def in_short(error: BaseException) -> str:
    """An error as one line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
