"""What scenes share: voices, people who do something at once, and a look at whether everything was let go of."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# No wait is longer; one that is means that somebody hangs. A scene of some seconds takes many times as long on a small
# machine that has other things to do.
SECONDS = 120.0


def standin(folder: Path) -> Any:
    """The stand-in's class, which writes a log of its preparations; for scenes that must not be cut short.

    From here on this process and its forks wait for each other's work as long as the scene itself: a busy machine may
    make an opening of the folder take longer than a user's program is to wait for it.
    """
    from chatterbox.tts import ChatterboxTTS

    from chatterbox_cached.accounting import account_file
    from chatterbox_cached.concurrency import forks
    from chatterbox_cached.tiers.disk import tier

    forks.unforked.wait_seconds = tier.OPEN_SECONDS = tier.TIMEOUT_SECONDS = account_file.TIMEOUT_SECONDS = SECONDS
    ChatterboxTTS.log = folder / "log"
    return ChatterboxTTS


def voices(folder: Path, count: int) -> list[Path]:
    """Files that the stand-in takes for reference audio, old enough to be believed to stand still."""
    paths = [folder / f"{number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text(f"voice {number}")
        os.utime(path, (0, 0))
    return paths


def at_once(act: Callable[[int], Any], count: int, seconds: float = SECONDS) -> list[Any]:
    """What ``act`` gave in each of ``count`` threads, or the exception that it ended with."""
    together, ended = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        together.wait(SECONDS)
        try:
            ended[number] = act(number)
        except BaseException as error:
            ended[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "somebody hangs"
    return ended


def forked(act: Callable[[], object]) -> int:
    """Start a process that does one thing; its id."""
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def ended_well(*children: int) -> bool:
    """Whether all of them end by themselves, in time, and without an exception."""
    deadline, codes = time.monotonic() + SECONDS, []
    for child in children:
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGABRT)  # faulthandler says where it was
                done = os.waitpid(child, 0)
                break
            time.sleep(0.005)
        codes.append(os.waitstatus_to_exitcode(done[1]))
    return not any(codes)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


@contextmanager
def another_holds(*locks: Any) -> Iterator[None]:
    """While it lasts, another thread holds all of these."""
    there, leave = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            assert lock.acquire(timeout=SECONDS)
        there.set()
        leave.wait(SECONDS)
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert there.wait(SECONDS)
    try:
        yield
    finally:
        leave.set()
        thread.join()


def calls_counted(stats: dict[str, Any]) -> int:
    """How many calls the statistics know of."""
    return int(stats["memory_hits"] + stats["disk_hits"] + stats["misses"] + sum(stats["bypasses"].values()))


def what_is_held(cache: Any, model: Any) -> list[str]:
    """The locks that somebody has not let go of: the model's turn, a flight, or a lock file."""
    import filelock

    from chatterbox_cached.concurrency.turns import turn
    from chatterbox_cached.tiers.disk.folder import entries_of

    held = [f"flight of {key}" for key in cache.serving.flights._flights]
    if at_once(lambda _: _take_and_release(turn(model).lock), 1) != [True]:
        held.append("turn")
    for file in entries_of(cache.settings.cache_dir).glob("*.lock"):
        with contextlib.suppress(filelock.Timeout), filelock.FileLock(file, timeout=0):
            continue
        held.append(file.name)
    return held


def _take_and_release(lock: Any) -> bool:
    taken = bool(lock.acquire(blocking=False))
    if taken:
        lock.release()
    return taken
