"""What the system refuses: reads, folders, descriptors, homes. The caller has upstream's voice and hears of it once."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.concurrency.breaker import FIRST_PAUSE_SECONDS
from tests.support import breakages
from tests.support.forks import NOBODY
from tests.support.scenery import voices
from tests.support.stage import Stage
from tests.support.tally import tried

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

NO_ENTRY = 54_321  # a container's made-up user, which the system knows nothing of
Refusal = Callable[[Path], AbstractContextManager[object]]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """A program that wants two voices, one of them known to the folder, and whose clock is turned by hand."""

    def __init__(self, root: Path, paths: list[Path]) -> None:
        from chatterbox.tts import ChatterboxTTS

        self.cache, self.model, self.paths, self.clock = ConditionalCache(root), ChatterboxTTS(), paths, Clock()
        for tier in self.cache.serving.store.lower.tiers:
            tier._reading._clock = tier._writing._clock = self.clock

    def wants(self, path: Path) -> None:
        from chatterbox.tts import voice_of

        self.cache.clear_memory()
        found = self.cache.get_or_prepare(self.model, path)
        assert torch.equal(found.gen["embedding"], voice_of(path.read_bytes()))

    def wants_all(self) -> None:
        for path in self.paths:
            self.wants(path)

    def errors(self) -> dict[str, int]:
        """The account is written by another thread, in its own time."""
        counted = self.cache.get_cache_stats()["errors"]
        return {place: times for place, times in counted.items() if place != "disk account"}


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may do everything, so it is somebody else meanwhile."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextlib.contextmanager
def reachable() -> Iterator[Path]:
    """A folder that an unprivileged user can reach, unlike pytest's."""
    where = Path(tempfile.mkdtemp())
    where.chmod(0o755)
    try:
        yield where
    finally:
        shutil.rmtree(where)


def modes(folders: int, files: int) -> Refusal:
    @contextlib.contextmanager
    def changed(root: Path) -> Iterator[None]:
        before = [(path, path.stat().st_mode) for path in (root, *root.rglob("*"))]
        for path, _ in reversed(before):
            path.chmod(folders if path.is_dir() else files)
        yield
        for path, mode in before:
            path.chmod(mode)

    return changed


@contextlib.contextmanager
def few_descriptors(_: Path) -> Iterator[None]:
    """Two are left: enough for whoever reads the audio."""
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    for descriptor in (taken.pop(), taken.pop()):
        os.close(descriptor)
    yield
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextlib.contextmanager
def read_only(root: Path) -> Iterator[None]:
    breakages.read_only(root)
    yield
    subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)


REFUSALS: dict[str, Refusal] = {
    "nothing may be written": modes(0o500, 0o400),
    "files may not be written": modes(0o700, 0o400),
    "nothing may be looked at": modes(0, 0),
    "no descriptor is left": few_descriptors,
    "the file system is read-only": read_only,
}


def refused(folder: Path, name: str, opened: bool) -> Any:
    """What was counted, how many were told, and what was served from disk at the end."""
    with reachable() as where, contextlib.ExitStack() as stack:
        known, new = voices(where, 2)
        root = where / "voices"
        if name == "the file system is read-only":
            root.mkdir()
            try:
                stack.enter_context(breakages.small_file_system(root, "10m"))
            except (OSError, subprocess.CalledProcessError):
                return None
        first = Caller(root, [known])
        first.wants_all()
        first.cache.close()
        for path in (root, *root.rglob("*")):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        stack.enter_context(unprivileged())
        caller = Caller(root, [known, new])
        if opened:
            caller.wants(known)
        with warnings.catch_warnings(record=True) as told, contextlib.ExitStack() as refusal:
            warnings.simplefilter("always")
            with privileged():
                refusal.enter_context(as_root(REFUSALS[name](root)))
            for _ in range(3):
                caller.wants_all()
            errors = caller.errors()
        caller.clock.now += FIRST_PAUSE_SECONDS
        caller.wants_all()
        before = caller.cache.get_cache_stats()["disk_hits"]
        caller.wants_all()
        served = caller.cache.get_cache_stats()["disk_hits"] - before
        caller.cache.close()
        ours = [str(warning.message) for warning in told if warning.category is CacheWarning]
        return sum(errors.values()), {place.split()[0] for place in errors} == {"disk"}, len(ours), served


@contextlib.contextmanager
def privileged() -> Iterator[None]:
    """Root again, where it was root that is somebody else now."""
    user = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(user)


@contextlib.contextmanager
def as_root(refusal: AbstractContextManager[object]) -> Iterator[None]:
    with privileged():
        refusal.__enter__()
    try:
        yield
    finally:
        with privileged():
            refusal.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("name", "opened"),
    [(name, False) for name in REFUSALS] + [("nothing may be looked at", True)],
    ids=lambda value: ("open" if value else "not open yet") if isinstance(value, bool) else value,
)
def test_what_is_refused_is_counted_and_told_once_and_used_again_afterwards(
    stage: Stage, tmp_path: Path, name: str, opened: bool
) -> None:
    result = stage(refused, name, opened, folder=tmp_path)
    if result is None:
        pytest.skip("this user may not mount a file system")
    tried("ways to break the folder")
    # A filled folder that can only be read is no fault: it gives what it holds, and takes nothing.
    only_read = name in ("nothing may be written", "files may not be written", "the file system is read-only")
    assert result == ([0, False, 0, 1] if only_read and not opened else [1, True, 1, 2])


def a_parent_that_may_not_be_written_to(folder: Path) -> Any:
    with reachable() as where:
        (voice,) = voices(where, 1)
        Caller(folder / "first", [voice]).wants_all()  # which imports what that user may not be able to read
        closed = where / "closed"
        closed.mkdir(mode=0o555)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with unprivileged():
                caller = Caller(closed / "voices", [voice] * 3)
                caller.wants_all()
            errors = caller.errors()
        closed.chmod(0o777)
        with unprivileged():
            caller.clock.now += FIRST_PAUSE_SECONDS
            caller.wants_all()
        served = caller.cache.get_cache_stats()["disk_hits"]
        caller.cache.close()
        return errors, sum(warning.category is CacheWarning for warning in told), served


def test_a_folder_that_can_not_be_made_is_told_of_once_and_made_later(stage: Stage, tmp_path: Path) -> None:
    assert stage(a_parent_that_may_not_be_written_to, folder=tmp_path) == [{"disk open": 1}, 1, 2]


def reads_that_fail(folder: Path, number: int) -> Any:
    """How often a value was read in each pause, what was counted, told and served at the end."""
    known, new = voices(folder, 2)
    first = Caller(folder / "voices", [known])
    first.wants_all()
    first.cache.close()
    caller, really, reads = Caller(folder / "voices", [known, new]), os.open, list[str]()

    def refuses(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith(".val") and not flags & os.O_CREAT:
            reads.append(str(path))
            raise OSError(number, os.strerror(number), path)
        return really(path, flags, *args, **kwargs)

    in_each_pause = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        os.open = refuses
        for pause in range(4):
            before = len(reads)
            for _ in range(3):
                caller.wants_all()
            in_each_pause.append(len(reads) - before)
            caller.clock.now += FIRST_PAUSE_SECONDS * 2**pause
        os.open = really
    errors = caller.errors()
    caller.wants_all()
    before = caller.cache.get_cache_stats()["disk_hits"]
    caller.wants_all()
    served = caller.cache.get_cache_stats()["disk_hits"] - before
    return in_each_pause, errors, sum(warning.category is CacheWarning for warning in told), served


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM], ids=errno.errorcode.get)
def test_a_disk_that_dies_on_reads_is_read_once_in_each_pause(stage: Stage, tmp_path: Path, number: int) -> None:
    tried("ways to break the folder")
    assert stage(reads_that_fail, number, folder=tmp_path) == [[1] * 4, {"disk get": 4}, 1, 2]


def no_home(folder: Path) -> Any:
    """What a user without an entry, and so without a home, has of ``enable()``."""
    from chatterbox.tts import ChatterboxTTS, heard, voice_of

    (voice,), model = voices(folder, 1), ChatterboxTTS()
    for name in ("HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.chdir("/")
    os.setresuid(NO_ENTRY, 0, 0)  # the name and the home are looked up by the first
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cache = chatterbox_cached.enable()
        for _ in range(3):
            speaker, _, _ = heard(model.generate("Hello.", audio_prompt_path=voice))
            assert torch.equal(speaker, voice_of(voice.read_bytes()))
    ours = [str(warning.message) for warning in told if warning.category is CacheWarning]
    now = cache.get_cache_stats()
    return now["cache_dir"], now["misses"], now["memory_hits"], now["errors"], ours


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can become a user that is not known")
def test_a_user_without_a_home_is_served_from_memory_and_told_once(stage: Stage, tmp_path: Path) -> None:
    *served, told = stage(no_home, folder=tmp_path)
    assert served == [None, 1, 2, {}]
    (message,) = told
    assert "memory only" in message
    assert "CHATTERBOX_CACHED_DIR" in message
