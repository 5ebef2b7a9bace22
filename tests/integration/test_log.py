"""What the log says: where each voice came from and, for one that was no hit, why; nothing where nobody asks."""

from __future__ import annotations

import copy
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.demo import rehearsal

LOGGER = "chatterbox_cached"


@pytest.fixture(autouse=True)
def _debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER)


def said(caplog: pytest.LogCaptureFixture, level: int = logging.DEBUG) -> str:
    """The last line of this level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level][-1]


def test_each_call_says_where_its_voice_came_from(
    english: Any, voice: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = chatterbox_cached.enable(tmp_path / "voices")
    english.prepare_conditionals(voice)
    assert said(caplog).startswith(f"{voice}: prepared by upstream in ")
    assert said(caplog).endswith(" s, for nothing is kept of this audio")
    assert f"Opened the cache folder {tmp_path / 'voices'}." in [record.getMessage() for record in caplog.records]
    english.prepare_conditionals(voice)
    assert said(caplog).startswith(f"{voice}: from memory in ")
    cache.clear_memory()
    english.prepare_conditionals(voice)
    assert said(caplog).startswith(f"{voice}: from disk in ")
    cache.get_or_prepare(english, voice, force_refresh=True)
    assert said(caplog).endswith("it was asked to be prepared anew")


@pytest.mark.parametrize(
    ("what", "part"), [("weights", "weights"), ("constant", "code and settings"), ("precision", "settings")]
)
def test_a_voice_that_is_prepared_again_says_which_part_of_its_key_is_new(
    what: str, part: str, english: Any, voice: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache, model, before = (
        ConditionalCache(tmp_path / "voices"),
        copy.copy(english),
        torch.get_float32_matmul_precision(),
    )
    cache.get_or_prepare(model, voice)
    try:
        if what == "weights":
            model.ve = rehearsal.build_parts(seed=1).ve
        elif what == "constant":
            model.ENC_COND_LEN = 5 * 16000
        else:
            torch.set_float32_matmul_precision("high")
        cache.get_or_prepare(model, voice)
    finally:
        torch.set_float32_matmul_precision(before)
    assert said(caplog).endswith(f", for this voice is kept of other {part}")


def test_a_call_that_goes_round_the_cache_says_why(english: Any, voice: Path, caplog: pytest.LogCaptureFixture) -> None:
    with chatterbox_cached.enabled(), chatterbox_cached.disabled():
        english.prepare_conditionals(voice)
    assert said(caplog) == f"{voice}: goes round the cache: disabled"


class Strict(logging.Handler):
    """Of a program that takes each line of the log for an error."""

    def emit(self, record: logging.LogRecord) -> None:
        raise LookupError(record.getMessage())


def also_raise(record: logging.LogRecord) -> bool:
    raise LookupError(record.getMessage())


@pytest.mark.parametrize("how", ["handler", "filter"])
def test_a_log_that_raises_does_not_reach_the_caller(
    how: str, english: Any, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(LOGGER)
    if how == "handler":
        monkeypatch.setattr(logger, "handlers", [Strict()])
    else:
        monkeypatch.setattr(logger, "filters", [also_raise])
    with pytest.raises(LookupError):
        logging.Logger.handle(logger, logging.makeLogRecord({"name": LOGGER, "levelno": logging.WARNING}))
    cache = chatterbox_cached.enable(None, auto_save=False)
    for _ in range(2):
        english.prepare_conditionals(voice)
    assert (cache.get_cache_stats()["misses"], cache.get_cache_stats()["memory_hits"]) == (1, 1)


def test_what_is_warned_of_is_logged_too(
    english: Any, voice: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "entries").write_text("no folder")
    with pytest.warns(CacheWarning) as warned:
        ConditionalCache(tmp_path / "voices").get_or_prepare(english, voice)
    assert said(caplog, logging.WARNING) == str(warned[0].message)


PROGRAM = """
import sys, warnings
import chatterbox_cached.notices
print("logging" in sys.modules)
warnings.simplefilter("ignore")
chatterbox_cached.notices.tell("something failed")
"""


@pytest.mark.parametrize(
    ("level", "line"),
    [
        ("", ""),
        ("debug", "chatterbox_cached WARNING: something failed"),
        ("WARNING", "chatterbox_cached WARNING: something failed"),
        ("loud", "chatterbox_cached WARNING: something failed"),
    ],
)
def test_a_program_that_asks_for_nothing_sees_nothing_and_the_environment_can_ask(level: str, line: str) -> None:
    own = {**os.environ, "CHATTERBOX_CACHED_LOG": level}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=own, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n", "logging is loaded before it is needed"
    assert done.stderr.strip().endswith(line)
    assert bool(done.stderr) is bool(line)
    assert ("must be one of: debug, info, warning" in done.stderr) is (level == "loud")
