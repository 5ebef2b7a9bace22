"""Whether everything is in order for the cache to work, and what to do where it is not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ..accounting import account
from ..accounting.stats import CLASSES, ENCODERS, VOICES
from ..addresses import parsed
from ..errors import ChatterboxCachedError
from ..figures import counted
from ..library.tier_states import of_read_only
from ..settings import PREFIX, Settings, switched_off, variable_of
from ..tiers.base import Tier
from ..tiers.disk import folder
from ..tiers.disk.frozen import FrozenFolder
from ..tiers.disk.tier import DiskTier
from ..tiers.memory import MemoryTier
from ..upstream import packages
from ..upstream.families import FAMILIES
from ..voice.signing import NAMES

_NEEDED = ("torch", "wrapt", "diskcache", "safetensors", "xxhash")
_IMPORT_SECONDS = 300.0
_A_VOICE = 170_000  # bytes
_LEAST_FREE = 100 * _A_VOICE
_NO_LIMIT = 2**63 - 1


class Finding(NamedTuple):
    """One thing that was looked at; ``advice`` says what to do where it is not in order."""

    what: str
    found: str
    advice: str = ""


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one thing after the other; importing Chatterbox takes seconds."""
    yield from _software()
    yield from _chatterbox()
    yield from _environment(settings)
    yield from _signatures(settings)
    yield from _folder(settings)
    yield _tried("memory round trip", MemoryTier[bytes](1, 2 * _A_VOICE, size_of=len))
    if settings.cache_dir is not None and not folder.is_read_only(settings.cache_dir):
        yield from _disk(settings, settings.cache_dir)
    for root in settings.read_only_dirs:
        yield _only_read("read-only folder", root, settings.trust_cache_dir)


def _software() -> Iterator[Finding]:
    yield Finding("Python", platform.python_version())
    yield from map(_distribution, _NEEDED)


def _distribution(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed", f"pip install {name}")


def _chatterbox() -> Iterator[Finding]:
    version = packages.installed_chatterbox()
    if version is None:
        yield Finding("Chatterbox", "not installed", 'pip install "chatterbox-cached[chatterbox]"')
        return
    is_original = version.startswith("chatterbox-tts ")
    yield Finding("Chatterbox", version if is_original else f"{version} (a fork, or a tree of sources)")
    try:
        report = _imported()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield Finding("import", str(error), "Mend that first: without Chatterbox there is nothing to cache.")
        return
    yield Finding("devices", ", ".join(report["devices"]) or "unknown")
    for family in FAMILIES:
        yield _class(family.class_name, report["classes"][family.name])
    if not report["watermarker"]:
        yield Finding(
            "watermarker",
            "resemble-perth has none, so no model can be built",
            'pip install "setuptools<82" (resemble-perth imports its pkg_resources)',
        )


def _imported() -> dict[str, Any]:
    """What came of the import. Raises ValueError where the import took the process with it."""
    command = [sys.executable, "-m", "chatterbox_cached.cli.import_check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_SECONDS, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "no message")
        raise ValueError(f"ended with {done.returncode}: {last}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _class(name: str, state: dict[str, Any]) -> Finding:
    if not state["found"] and not state["error"]:
        return Finding(name, "not in this Chatterbox")
    if not state["found"]:
        said = " ".join(str(state["error"]).split())
        return Finding(name, said, f"Mend the import of {name}: {said}")
    if state["patched"]:
        return Finding(name, "found, and patched by enable()")
    why = "the cache is switched off" if switched_off() else "another form than is known"
    advice = "" if switched_off() else f"{name} is not as expected, so its voices are not cached. Please report this."
    return Finding(name, f"found, not patched: {why}", advice)


def _environment(settings: Settings) -> Iterator[Finding]:
    names = sorted(name for name in os.environ if name.startswith(PREFIX.rstrip("_")))
    without_passwords = {variable_of("shared"): " ".join(parsed(address).label for address in settings.shared)}
    shown = [
        f"{name}={'(not shown)' if 'KEY' in name else without_passwords.get(name, os.environ[name])}" for name in names
    ]
    off = f"Unset {PREFIX}DISABLE: with it every call goes to upstream." if switched_off() else ""
    yield Finding("environment", ", ".join(shown) or f"no {PREFIX}* set", off)


def _signatures(settings: Settings) -> Iterator[Finding]:
    keys = settings.keyring
    if not keys.trusted:
        return
    many = counted(len(keys.trusted), "key is", "keys are")
    new = (
        "only checked; new voices are kept in memory only"
        if keys.signer is None
        else f"signed with {NAMES[keys.scheme]}"
    )
    yield Finding("signatures", f"entries are {new}; {many} believed")


def _folder(settings: Settings) -> Iterator[Finding]:
    root = settings.cache_dir
    if root is None:
        yield Finding("cache folder", "none: no home folder", "Name one: CHATTERBOX_CACHED_DIR=/some/folder")
        return
    yield Finding("cache folder", str(root) if root.exists() else f"{root}, to be made with the first voice")
    yield Finding("file system", folder.file_system(root) or "unknown")
    if folder.is_read_only(root):
        only_read = _only_read("only read", root, settings.trust_cache_dir)
        yield only_read._replace(found=f"{only_read.found}; new voices are kept in memory only")
    if root.exists():
        rights = _rights(root, settings.trust_cache_dir)
        yield rights
        if not rights.advice:
            yield from _account(root, settings.trust_cache_dir)
    if folder.is_read_only(root):
        return
    free = shutil.disk_usage(_nearest(root)).free
    short = "" if free > _LEAST_FREE else f"Make room on the disk of {root}, or name another folder."
    yield Finding("space", f"{free / 1e9:.1f} GB free; the cache may use {settings.size_limit / 1e9:.1f} GB", short)


def _rights(root: Path, trusted: bool) -> Finding:
    status = root.stat()
    owner = f"owner {status.st_uid}, " if hasattr(os, "geteuid") else ""
    try:
        folder.refuse_strangers(root)
    except OSError as error:
        return Finding(
            "rights", "trusted by a setting" if trusted else "not ours alone", "" if trusted else f"{error}."
        )
    return Finding("rights", f"{owner}mode {stat.S_IMODE(status.st_mode):04o}")


def _account(root: Path, trusted: bool) -> Iterator[Finding]:
    try:
        malformed = account.check(root, fix=False, trusted=trusted)
        totals = {} if malformed else account.read(root, trusted=trusted).totals
    except ChatterboxCachedError as error:
        yield Finding("account", "can't be looked at", str(error))
        return
    yield Finding("account", *(("malformed", "Run: chatterbox-cached check") if malformed else ("in order",)))
    for kind, how in ((CLASSES[VOICES], "voices as a whole"), (CLASSES[ENCODERS], "calls of the encoders")):
        if classes := totals.get(kind):
            yield Finding("found in programs", f"{', '.join(sorted(classes))}: {how}")


def _only_read(what: str, root: Path, trusted: bool) -> Finding:
    tier = of_read_only(FrozenFolder(root, trusted=trusted))
    if tier.advice:
        return Finding(what, f"{root} {tier.state}", tier.advice)
    return Finding(what, f"{root}, {counted(tier.entries or 0, 'entry', 'entries')}")


def _disk(settings: Settings, root: Path) -> Iterator[Finding]:
    malformed: list[Exception] = []
    yield _disk_round_trip(settings, root, malformed.append)
    for error in malformed:
        yield Finding("index", f"malformed ({error}); it was moved aside and a new one begun")


def _disk_round_trip(settings: Settings, root: Path, was_set_aside: Callable[[Exception], None]) -> Finding:
    """In the real folder, without a limit, so that no entry makes room; beside it, where it is not there yet."""
    if root.exists():
        return _tried("disk round trip", DiskTier(root, _NO_LIMIT, was_set_aside, trusted=settings.trust_cache_dir))
    try:
        with tempfile.TemporaryDirectory(prefix=".chatterbox-cached-", dir=_nearest(root)) as scratch:
            return _tried("disk round trip", DiskTier(Path(scratch, "cache"), _NO_LIMIT))
    except OSError as error:
        return Finding("disk round trip", str(error), "Name a folder that you can write to: CHATTERBOX_CACHED_DIR=...")


def _nearest(path: Path) -> Path:
    """The path itself or, where it is not there, the nearest folder above it that is."""
    return next(each for each in (path, *path.parents) if each.exists())


def _tried(what: str, tier: Tier[bytes]) -> Finding:
    """Keep a scratch entry of a voice's size in a tier, read it and remove it."""
    key, value = f"doctor/{uuid.uuid4().hex}/scratch", os.urandom(_A_VOICE)
    try:
        tier.open()
        started = time.perf_counter()
        try:
            tier.put(key, value)
            same = tier.get(key) == value
        finally:
            tier.delete(key)
        took = time.perf_counter() - started
    except Exception as error:  # whatever a store out of order raises
        advice = str(error) if isinstance(error, OSError) else "Run: chatterbox-cached check"
        return Finding(what, f"{type(error).__name__}: {error}", advice)
    finally:
        tier.close()
    return Finding(
        what, f"{took * 1000:.2f} ms" if same else "something else came back", "" if same else "Check the disk."
    )
