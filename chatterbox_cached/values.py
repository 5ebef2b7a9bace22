"""How the value of a setting may be written, and what it must be.

Each function reads one kind of value, from a keyword or as text from the environment, and raises ValueError with what
it must be: "a number of seconds".
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from . import addresses

_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


def whole(value: object) -> int:
    """A size in bytes or a count: 500, "500", "500MB", "1.5 GiB"."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", value.strip()) if isinstance(value, str) else None
        if match is None or match[2].upper() not in _UNITS:
            raise ValueError("a whole number, or a size such as '500MB'")
        number = int(float(match[1]) * _UNITS[match[2].upper()]) if len(match[1]) < 20 else -1
    if not 0 <= number < 2**63:
        raise ValueError("zero or more, and no more than a disk can hold")
    return number


def seconds(value: object) -> float:
    """A time that has an end."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number of seconds")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError("a number of seconds") from None
    if not 0 <= number < float("inf"):
        raise ValueError("zero or more seconds")
    return number


def share(value: object) -> float:
    """A share of all, from 0 to 1."""
    try:
        part = seconds(value)
    except ValueError:
        part = -1.0
    if not (part == 0 or 1e-9 <= part <= 1):
        raise ValueError("a share from 0 to 1, such as 0.01 for every hundredth hit")
    return part


def flag(value: object) -> bool:
    """A bool, or a word for one."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("True or False (in the environment 1 or 0)")


def one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    """What reads one of these words, in capitals or not."""

    def read(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else None
        if word not in words:
            raise ValueError("one of " + ", ".join(map(repr, words)))
        return word

    return read


def folder(value: object) -> Path | None:
    """The absolute path of a folder, which need not be there."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not os.fsdecode(value).strip() or "\0" in os.fsdecode(value):
        raise ValueError("a folder, or None")
    named = os.path.expandvars(os.path.expanduser(os.fsdecode(value)))
    if not named or named.startswith(("~", "$")):  # else a folder of that name would be made wherever this runs
        raise ValueError("a folder, and here nobody knows what it begins with: write the path out")
    path = Path(os.path.abspath(named))
    try:
        other = not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        other = False
    except OSError as error:
        raise ValueError(f"a folder, and that path is none ({error.strerror})") from None
    if other:
        raise ValueError("a folder, and there is something else at that path")
    return path


def folders(value: object) -> tuple[Path, ...]:
    """Several, each once; in a text with what PATH has between its folders."""
    if value is None:
        return ()
    given = (
        value.split(os.pathsep) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    )
    try:
        found = [folder(each) for each in given if each or not isinstance(value, str)]  # an empty text names none
    except ValueError as needs:
        raise ValueError(f"a list of folders, or their names with {os.pathsep!r} between, each {needs}") from None
    if None in found:
        raise ValueError("a list of folders, and None is none")
    return tuple(dict.fromkeys(each for each in found if each is not None))


def secrets(value: object) -> tuple[bytes, ...]:
    """Keys to sign with; raises as voice.signing.secrets does."""
    from .voice import signing  # loaded where there are keys: enable() is to take no time

    return signing.secrets(value)


def public_keys(value: object) -> tuple[bytes, ...]:
    """Keys to check with; raises as voice.signing.public_keys does."""
    from .voice import signing

    return signing.public_keys(value)


def stores(value: object) -> tuple[str, ...]:
    """The addresses of stores that machines share, each once; in a text with spaces between."""
    given = [] if value is None else value.split() if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"an address such as {addresses.FORMS}, or a list of these")
    for each in given:
        module, extra = addresses.EXTRAS[addresses.parsed(each).kind]
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"left out, or installed for: pip install 'chatterbox-cached[{extra}]'")
    return tuple(dict.fromkeys(each.strip() for each in given))


def namespace(value: object) -> str:
    """A name that can be a part of any key."""
    if not isinstance(value, str) or not _NAMESPACE.fullmatch(value) or set(value) == {"."}:
        raise ValueError("1 to 64 letters, digits, dots, dashes and underscores")
    return value
