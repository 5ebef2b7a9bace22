"""What went wrong in one cache: counted each time, and warned of once."""

from __future__ import annotations

from pathlib import Path

from ..concurrency.signals import pass_on
from ..errors import NotWritten, ReadOnlyFolder, UntrustedFolder
from ..notices import tell
from .stats import Stats


class Failures:
    """Takes the failures that the caller must not notice."""

    def __init__(self, stats: Stats, folder: Path | None) -> None:
        self._stats, self._folder = stats, folder
        self._said: set[str] = set()

    def report(self, place: str, error: Exception) -> None:
        """Count a failure at ``place``, such as "disk put", and warn of the first with the same first word.

        Raises it where it is the program's own: see ``signals.pass_on``.
        """
        pass_on(error)
        if isinstance(error, UntrustedFolder):  # whatever was to be done there
            self._stats.error("untrusted folder")
            in_cache_folder = self._folder is not None and str(error).startswith(str(self._folder))
            so = "keeps voices in memory only" if in_cache_folder else "does without a folder of read_only_dirs"
            self.warn_once(f"untrusted folder, so it {so}", f"The voice cache {so}: {error}.")
            return
        self._stats.error(place)
        if isinstance(error, ReadOnlyFolder):
            self.warn_once(f"read-only {error}", f"{error}.")
            return
        where = place.partition(" ")[0]
        if isinstance(error, NotWritten):
            self._stats.not_shared(where, error.count)
        check = f"the store {where}" if "://" in where else f"the cache folder {self._folder}"
        if where == "voices":
            check = "the folder of voices with names (`chatterbox-cached voices ls` says where it is)"
        self.warn_once(
            where,  # a disk that fails is told of once, whatever was wanted of it
            f"The voice cache failed ({place}: {type(error).__name__}: {error}). The sound is not affected: what the"
            f" cache can't give, upstream prepares. Check {check}; every failure is counted in"
            " get_cache_stats()['errors'], and others of this kind are not warned of again.",
        )

    def warn_once(self, subject: str, message: str) -> None:
        """Warn with this ``message``, unless something was said of this ``subject`` before."""
        if subject not in self._said:
            self._said.add(subject)
            tell(message)
