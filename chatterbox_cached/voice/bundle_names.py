"""What a bundle says of voices that have names, and the files that come with them.

It may come from an attacker like the rest of a bundle: nothing is believed that is not of the plainest kind.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BundleError
from .key_format import is_sha256

MOST_OF_A_FILE = 2**28  # a recording of 25 minutes, uncompressed
_MOST_OF_TEXT = 4096
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_KINDS = ("recording", "conditionals")
# Part of no control sequence, and of names as people type them: emoji and Persian words are joined by them.
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


class NamedInBundle(NamedTuple):
    """One voice with a name: the fields of named.NamedVoice, and the file that is in the bundle for it.

    ``size`` and ``sha256`` are those of the file, and None where there is none: the recording, where it was asked for,
    or the ``.pt`` file of a voice that came from one. ``suffix`` is that of its name.
    """

    name: str
    aliases: tuple[str, ...]
    description: str
    consent: str
    digest: str
    kind: str
    seconds: float | None
    suffix: str = ""
    size: int | None = None
    sha256: str | None = None

    def with_file(self, file: Path) -> NamedInBundle:
        """The same with what is to be said of ``file``. Raises OSError, and BundleError where it is too large."""
        content = file.read_bytes()
        if len(content) > MOST_OF_A_FILE:
            raise BundleError(f"{file} is larger than a bundle takes, which is {MOST_OF_A_FILE >> 20} MiB for a file.")
        return self._replace(suffix=file.suffix.lower(), size=len(content), sha256=hashlib.sha256(content).hexdigest())

    def check(self, content: bytes) -> None:
        """Raise BundleError unless this is the file that was stated."""
        if (len(content), hashlib.sha256(content).hexdigest()) != (self.size, self.sha256):
            raise BundleError(f"the file of {self.name!r} is damaged")
        if self.kind == _KINDS[1] and self.sha256 != self.digest:
            raise BundleError(f"the file of {self.name!r} is not what it was made of")

    def is_plain(self) -> bool:
        """Whether all of it is such as a bundle takes."""
        names, texts = (self.name, *self.aliases), (self.description, self.consent)
        has_file = self.size is not None
        return (
            all(map(_is_name, names))
            and all(map(_is_text, texts))
            and all(len(text) <= _MOST_OF_TEXT for text in (*names, *texts))
            and type(self.digest) is str
            and is_sha256(self.digest)
            and self.kind in _KINDS
            and (has_file or self.kind == _KINDS[0])
            and (self.seconds is None or (type(self.seconds) is float and 0 <= self.seconds < math.inf))
            and type(self.suffix) is str
            and (not self.suffix or is_suffix(self.suffix))
            and (not has_file or (type(self.size) is int and 0 < self.size <= MOST_OF_A_FILE))
            and (is_sha256(str(self.sha256)) if has_file else self.sha256 is None and not self.suffix)
        )

    def stated(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {**self._asdict(), "aliases": list(self.aliases)}


def is_suffix(text: str) -> bool:
    """Whether the name of a file that is kept, or carried, may end so: a dot, and some small letters and digits."""
    return _SUFFIX.fullmatch(text) is not None


def file_name(number: int, named: NamedInBundle) -> str:
    """The name in the archive of the file that comes with the voice of this place in the manifest."""
    return f"names/{number:04}{named.suffix}"


def understood(said: Sequence[dict[str, Any]]) -> list[NamedInBundle]:
    """What a manifest says of names. Raises BundleError where any of it is odd."""
    found = [NamedInBundle(**{**each, "aliases": tuple(each["aliases"])}) for each in said]
    if not all(each.is_plain() for each in found):
        raise BundleError("its manifest gives an impossible name to a voice")
    names = [each.name for each in found]
    if names != sorted(set(names)):
        raise BundleError("its manifest is not as it should be")
    return found


def _is_name(text: Any) -> bool:
    return type(text) is str and text.translate(dict.fromkeys(map(ord, _JOINERS))).isprintable()


def _is_text(text: Any) -> bool:
    """Of several lines, too; what shows it makes it plain. Half a sign can't be kept."""
    return type(text) is str and not any("\ud800" <= sign <= "\udfff" for sign in text)
