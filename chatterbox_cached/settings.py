"""What can be set, where it comes from, and what is impossible.

A keyword wins over the environment, the environment over the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import addresses, values
from .errors import NotCachedError, SettingsError
from .notices import tell

if TYPE_CHECKING:
    from .voice.signing import Keyring

PREFIX = "CHATTERBOX_CACHED_"
SWITCH = "CHATTERBOX_CACHED"
METRICS_PORT, METRICS_ADDRESS = PREFIX + "METRICS_PORT", PREFIX + "METRICS_ADDRESS"
MISMATCH_ACTIONS = ("warn", "error", "follow", "off")
EXACT_TO = ("model", "setup")
KEYWORD, ENVIRONMENT, DEFAULT = "keyword", "environment", "default"
SHARED_MODES = ("read-write", "read")
# Not shown, nor is what may have been mistaken for the one beside it.
_KEYS = frozenset({"signing_key", "verify_keys"})
_SECRET = _KEYS | {"shared"}


class Settings(NamedTuple):
    """How one cache works.

    ``cache_dir``: the folder of the disk tier, None for memory only. ``auto_save``: whether new voices go to disk.
    ``memory_entries`` and ``memory_bytes`` bound the memory tier, ``size_limit`` (bytes) the disk tier; sizes may be
    written as ``"500MB"``. ``on_mismatch``: what the exaggeration guard does. ``take_turns``: calls on one model
    wait for each other, since upstream is not thread-safe. ``wait_seconds``: the longest that one caller waits for
    another's preparation of the same voice before it helps itself. ``trust_cache_dir``: use a folder that other
    users can write to. ``read_only_dirs``: filled folders that are looked at after ``cache_dir`` and never written to;
    a text may name several as PATH does. ``signing_key``: secrets of at least 16 bytes or Ed25519 private keys,
    the first to sign entries with and all to check them; a text may hold several with commas between. ``verify_keys``:
    Ed25519 public keys to check entries with as well. ``signed``: whether stores that machines share are to be used
    with such keys only. ``verify``: the share of hits (0 to
    1) that upstream prepares again to compare. ``exact``: "model" uses every entry of the same model, "setup" only
    those that were made on a set-up like this one, for the last bits too. ``shared``: stores that machines share,
    nearest first, such as "valkey://host:6379/0" or "s3://bucket/prefix"; a text may hold several with spaces between.
    ``shared_mode``: "read" stores nothing there. ``namespace``: which voices of these stores are meant; nothing of one
    is seen in another. ``connect_seconds`` and ``operation_seconds`` bound each wait for such a store.
    ``voices_dir``: the folder of the voices that have names, None for the one in the user's data folder.
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
    verify_keys: tuple[bytes, ...] = ()
    signed: bool = True
    verify: float = 0.0
    exact: str = "model"
    shared: tuple[str, ...] = ()
    shared_mode: str = "read-write"
    namespace: str = "default"
    connect_seconds: float = 0.2
    operation_seconds: float = 1.0
    voices_dir: Path | None = None

    @property
    def keyring(self) -> Keyring:
        """The keys that entries are signed and checked with."""
        from .voice import signing

        return signing.keyring(self.signing_key, self.verify_keys)

    @property
    def stores(self) -> bool:
        """Whether newly made voices go to disk."""
        return self.auto_save and not self.only_checks

    @property
    def only_checks(self) -> bool:
        """Whether entries are checked and none can be signed: those made here would not be believed."""
        return bool(self.verify_keys) and not self.signing_key

    def without_secrets(self) -> dict[str, Any]:
        """All but the keys, by name, and addresses without their passwords."""
        said = {**self._asdict(), "shared": tuple(addresses.parsed(address).label for address in self.shared)}
        return {name: value for name, value in said.items() if name not in _KEYS}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.without_secrets().items())})"


_READERS: Mapping[str, Callable[[object], Any]] = {
    "cache_dir": values.folder,
    "auto_save": values.flag,
    "memory_entries": values.whole,
    "memory_bytes": values.whole,
    "size_limit": values.whole,
    "on_mismatch": values.one_of(MISMATCH_ACTIONS),
    "take_turns": values.flag,
    "wait_seconds": values.seconds,
    "trust_cache_dir": values.flag,
    "read_only_dirs": values.folders,
    "signing_key": values.secrets,
    "verify_keys": values.public_keys,
    "signed": values.flag,
    "verify": values.share,
    "exact": values.one_of(EXACT_TO),
    "shared": values.stores,
    "shared_mode": values.one_of(SHARED_MODES),
    "namespace": values.namespace,
    "connect_seconds": values.seconds,
    "operation_seconds": values.seconds,
    "voices_dir": values.folder,
}
# The folder's variable has a shorter name, since it is the one that is typed.
_VARIABLES = {name: PREFIX + ("DIR" if name == "cache_dir" else name.upper()) for name in _READERS}


def variable_of(name: str) -> str:
    """The environment variable of the setting ``name``."""
    return _VARIABLES[name]


def source_of(name: str, keywords: Collection[str]) -> str:
    """Where a setting comes from that was resolved with these ``keywords``: KEYWORD, ENVIRONMENT or DEFAULT."""
    if name in keywords:
        return KEYWORD
    return ENVIRONMENT if _is_given(name) else DEFAULT


def _is_given(name: str) -> bool:
    """Whether its variable says anything. An empty one, as from a compose file, is as if it were not set.

    But a key that is empty got lost on its way, and without it everything would be believed.
    """
    given = os.environ.get(_VARIABLES[name])
    return bool(given) or (given is not None and name in _KEYS)


def _read(name: str, value: object, source: str) -> Any:
    try:
        return _READERS[name](value)
    except SettingsError as lacking:
        raise SettingsError(f"{source}: {lacking}") from lacking
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
    given = {}
    for name in known:
        if name in keywords:
            given[name] = _read(name, keywords[name], name)
        elif source_of(name, keywords) == ENVIRONMENT:
            given[name] = _read(name, os.environ[_VARIABLES[name]], f"The environment variable {_VARIABLES[name]}")
    settings = Settings(**given)
    _want_signatures(settings)
    return settings


def _want_signatures(settings: Settings) -> None:
    """Raises SettingsError where stores that machines share are to be used unsigned, and nobody has said so."""
    if settings.shared and settings.signed and not (settings.signing_key or settings.verify_keys):
        store = addresses.parsed(settings.shared[0]).label
        raise SettingsError(
            f"Whoever can write to {store} could give every machine a voice of their choice. Give a signing_key, or"
            " verify_keys where entries are only read ('chatterbox-cached keys' makes a pair). Say signed=False, or"
            f" {_VARIABLES['signed']}=0, to trust everything that is there."
        )


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
        values.folder(folder)
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
    if "cache_dir" not in given and not _is_given("cache_dir"):
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
        return values.flag(os.environ.get(name, ""))
    except ValueError as needs:
        raise SettingsError(f"The environment variable {name} is {os.environ[name]!r}, but must be {needs}.") from None
