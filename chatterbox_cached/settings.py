"""What can be set, where it comes from, and what is impossible.

A keyword wins over the environment, the environment over the default.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .errors import NotCachedError, SettingsError
from .notices import tell

PREFIX = "CHATTERBOX_CACHED_"
SWITCH = "CHATTERBOX_CACHED"
METRICS_PORT, METRICS_ADDRESS = PREFIX + "METRICS_PORT", PREFIX + "METRICS_ADDRESS"
MISMATCH_ACTIONS = ("warn", "error", "follow", "off")
EXACT_TO = ("model", "setup")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SHORTEST_KEY = 16
_SECRET = frozenset({"signing_key"})
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


class Settings(NamedTuple):
    """How one cache works.

    ``cache_dir``: the folder of the disk tier, None for memory only. ``auto_save``: whether new voices go to disk.
    ``memory_entries`` and ``memory_bytes`` bound the memory tier, ``size_limit`` (bytes) the disk tier; sizes may be
    written as ``"500MB"``. ``on_mismatch``: what the exaggeration guard does. ``take_turns``: calls on one model
    wait for each other, since upstream is not thread-safe. ``wait_seconds``: the longest that one caller waits for
    another's preparation of the same voice before it helps itself. ``trust_cache_dir``: use a folder that other
    users can write to. ``read_only_dirs``: filled folders that are looked at after ``cache_dir`` and never written to;
    a text may name several as PATH does. ``signing_key``: secrets of at least 16 bytes, the first to sign entries on
    disk with and all to verify them; a text may hold several with commas between. ``verify``: the share of hits (0 to
    1) that upstream prepares again to compare. ``exact``: "model" uses every entry of the same model, "setup" only
    those that were made on a set-up like this one, for the last bits too.
    """

    cache_dir: Path | None = None
    auto_save: bool = True
    memory_entries: int = 256
    memory_bytes: int = 64 * 2**20
    size_limit: int = 2**30
    on_mismatch: str = "warn"
    take_turns: bool = True
    wait_seconds: float = 60.0
    trust_cache_dir: bool = False
    read_only_dirs: tuple[Path, ...] = ()
    signing_key: tuple[bytes, ...] = ()
    verify: float = 0.0
    exact: str = "model"

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items() if name not in _SECRET)
        return f"Settings({shown})"


def _whole(value: object) -> int:
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


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number of seconds")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError("a number of seconds") from None
    if not 0 <= number < float("inf"):
        raise ValueError("zero or more seconds")
    return number


def _share(value: object) -> float:
    try:
        share = _seconds(value)
    except ValueError:
        share = -1.0
    if not (share == 0 or 1e-9 <= share <= 1):
        raise ValueError("a share from 0 to 1, such as 0.01 for every hundredth hit")
    return share


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("True or False (in the environment 1 or 0)")


def _action(value: object) -> str:
    if value not in MISMATCH_ACTIONS:
        raise ValueError("one of " + ", ".join(repr(action) for action in MISMATCH_ACTIONS))
    return str(value)


def _exact(value: object) -> str:
    if value not in EXACT_TO:
        raise ValueError("one of " + ", ".join(repr(each) for each in EXACT_TO))
    return str(value)


def _folder(value: object) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ValueError("a folder, or None")
    path = Path(os.path.abspath(os.path.expandvars(os.path.expanduser(os.fsdecode(value)))))
    try:
        other = not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        other = False
    except OSError as error:
        raise ValueError(f"a folder, and that path is none ({error.strerror})") from None
    if other:
        raise ValueError("a folder, and there is something else at that path")
    return path


def _folders(value: object) -> tuple[Path, ...]:
    if value is None:
        return ()
    given = (
        value.split(os.pathsep) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    )
    try:
        found = [_folder(each) for each in given if each or not isinstance(value, str)]  # an empty text names none
    except ValueError as needs:
        raise ValueError(f"a list of folders, or their names with {os.pathsep!r} between, each {needs}") from None
    if None in found:
        raise ValueError("a list of folders, and None is none")
    return tuple(dict.fromkeys(folder for folder in found if folder is not None))


def _keys(value: object) -> tuple[bytes, ...]:
    if value is None:
        return ()
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    keys = [key.strip().encode() if isinstance(key, str) else key for key in given]
    good = tuple(key for key in keys if isinstance(key, bytes) and len(key) >= _SHORTEST_KEY)
    if not keys or len(good) < len(keys):  # an empty list is more likely a mistake than a wish to have no key
        raise ValueError(f"a text or bytes of at least {_SHORTEST_KEY} bytes, or a list of these")
    return good


_READERS: Mapping[str, Callable[[object], Any]] = {
    "cache_dir": _folder,
    "auto_save": _flag,
    "memory_entries": _whole,
    "memory_bytes": _whole,
    "size_limit": _whole,
    "on_mismatch": _action,
    "take_turns": _flag,
    "wait_seconds": _seconds,
    "trust_cache_dir": _flag,
    "read_only_dirs": _folders,
    "signing_key": _keys,
    "verify": _share,
    "exact": _exact,
}
# The folder's variable has a shorter name, since it is the one that is typed.
_VARIABLES = {name: PREFIX + ("DIR" if name == "cache_dir" else name.upper()) for name in _READERS}


def variable_of(name: str) -> str:
    """The environment variable of the setting ``name``."""
    return _VARIABLES[name]


def _read(name: str, value: object, source: str) -> Any:
    try:
        return _READERS[name](value)
    except ValueError as needs:
        shown = "not shown here" if name in _SECRET else repr(str(value) if isinstance(value, Path) else value)
        raise SettingsError(f"{source} is {shown}, but must be {needs}.") from None


def resolve(keywords: Mapping[str, object]) -> Settings:
    """Settings from keywords, environment and defaults.

    Raises SettingsError, which names the setting, when one is unknown or impossible.
    """
    known = Settings._fields
    for name in keywords:
        if name not in known:
            raise SettingsError(f"There is no setting {name!r}. The settings are: {', '.join(known)}.")
    values = {}
    for name in known:
        if name in keywords:
            values[name] = _read(name, keywords[name], name)
        elif _VARIABLES[name] in os.environ:
            values[name] = _read(name, os.environ[_VARIABLES[name]], f"The environment variable {_VARIABLES[name]}")
    return Settings(**values)


def _user_folder() -> str | None:
    import platformdirs

    try:
        folder = platformdirs.user_cache_dir("chatterbox-cached", appauthor=False)
    except RuntimeError:  # no home, as newer versions say it
        return _no_folder("this user has no home folder, and so no cache folder")
    # As older ones do: in memory only, rather than in a folder named "~" wherever this runs.
    if os.path.expanduser(folder).startswith("~"):
        return _no_folder("this user has no home folder, and so no cache folder")
    try:
        _folder(folder)
    except ValueError as needs:  # such as another user's home, which HOME may still name after a change of user
        return _no_folder(f"the user's cache folder {folder!r} must be {needs}")
    return folder


def _no_folder(why: str) -> str | None:
    tell(
        f"The voice cache keeps voices in memory only: {why}. Name a folder with cache_dir= or"
        f" {_VARIABLES['cache_dir']}."
    )
    return None


def with_user_folder(keywords: Mapping[str, object]) -> Settings:
    """Like ``resolve``, but where no folder is named, the user's cache folder is taken, if they have one."""
    given = {name: value for name, value in keywords.items() if (name, value) != ("cache_dir", None)}
    if "cache_dir" not in given and _VARIABLES["cache_dir"] not in os.environ:
        given["cache_dir"] = _user_folder()
    return resolve(given)


def folder_of(settings: Settings) -> Path:
    """The cache folder. Raises NotCachedError where there is none."""
    if settings.cache_dir is None:
        raise NotCachedError("There is no cache folder: this user has no home folder. Give one with --cache-dir.")
    return settings.cache_dir


def switched_off() -> bool:
    """Whether ``CHATTERBOX_CACHED_DISABLE`` is set: the kill switch, under which every call goes to upstream."""
    return _flag_of_environment(PREFIX + "DISABLE")


def switched_on() -> bool:
    """Whether ``CHATTERBOX_CACHED`` is set: the cache is to be on without a word from the program."""
    return _flag_of_environment(SWITCH)


def _flag_of_environment(name: str) -> bool:
    try:
        return _flag(os.environ.get(name, ""))
    except ValueError as needs:
        raise SettingsError(f"The environment variable {name} is {os.environ[name]!r}, but must be {needs}.") from None
