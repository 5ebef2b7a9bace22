"""Models of the real architecture with random weights, two voices, and an environment of its own for every test."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis.configuration
import pytest

from benchmarks.servers import Seaweed, Valkey, running
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.demo.hub import hub_folder
from chatterbox_cached.upstream.families import family_of
from chatterbox_cached.upstream.slots import hold
from tests.support import run_wide, short_models, tally
from tests.support.commands import REPOSITORY, SHORTENED
from tests.support.preloaded import CHATTERBOX, LIBRARIES, Preloaded
from tests.support.stage import Stage

# Two processes that each want both cores make each other wait: a generation of 2 s was seen to take 50. Set before
# anything with threads is loaded, and passed on to the processes that tests start. It is the only such setting, so that
# this process and those have as many in each library: the last bits of a voice depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.pop(name, None)
assert not {"numpy", "torch"} & sys.modules.keys(), "what is loaded has its threads already"

# Whoever starts the tests in the background has Ctrl-C ignored, and so would the programs be that tests start.
for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

hypothesis.configuration.set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "hypothesis"))

# `make ray` runs these, in an environment that has it.
collect_ignore = [] if find_spec("ray") else ["on_ray"]

_MODELS: list[Any] = []  # the session's models that have been built so far


@pytest.fixture(scope="session")
def parts() -> rehearsal.Parts:
    """One VoiceEncoder and one S3Gen, shared by all models."""
    return short_models.parts()


@pytest.fixture(scope="session")
def english(parts: rehearsal.Parts) -> Any:
    """A ChatterboxTTS."""
    return _kept(short_models.english(parts))


@pytest.fixture(scope="session")
def multilingual(parts: rehearsal.Parts) -> Any:
    """A ChatterboxMultilingualTTS."""
    return _kept(short_models.multilingual(parts))


@pytest.fixture(scope="session")
def turbo(parts: rehearsal.Parts) -> Any:
    """A ChatterboxTurboTTS."""
    return _kept(short_models.turbo(parts))


@pytest.fixture(scope="session")
def vc(parts: rehearsal.Parts) -> Any:
    """A ChatterboxVC."""
    return _kept(short_models.vc(parts))


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference clip of 2 s: upstream's encoders and its generation have less to do than with 10 s."""
    return rehearsal.reference_clip(tmp_path_factory.mktemp("voices") / "voice.wav", seconds=2, seed=0)


@pytest.fixture(scope="session")
def other_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference clip of 2 s of another speaker."""
    return rehearsal.reference_clip(tmp_path_factory.mktemp("voices") / "other.wav", seconds=2, seed=1)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A hub cache from which an unmodified ``from_pretrained`` of all classes loads; see hub.hub_folder.

    Both workers of a run use the one that the first of them makes.
    """

    def make(folder: Path) -> None:
        parts = request.getfixturevalue("parts")
        hub_folder(folder, models=("english", "multilingual", "turbo", "vc"), parts=parts)

    return run_wide.made_once(run_wide.folder_of(tmp_path_factory) / "hub", make)


@pytest.fixture(scope="session")
def hub_environment(hub: Path) -> dict[str, str]:
    """The environment in which a process finds a short Chatterbox with random weights."""
    path = os.pathsep.join(map(str, (SHORTENED, REPOSITORY)))
    return {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded]:
    """Forked for what needs no Chatterbox, or the stand-in."""
    process = Preloaded(*LIBRARIES)
    yield process
    process.close()


@pytest.fixture(scope="session")
def stage(preloaded: Preloaded) -> Stage:
    return Stage(preloaded)


@pytest.fixture(scope="session")
def preloaded_chatterbox() -> Iterator[Preloaded]:
    """Forked for what needs the real one."""
    process = Preloaded(*LIBRARIES, *CHATTERBOX)
    yield process
    process.close()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with running(Valkey) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    with running(Seaweed) as server:
        yield server


@pytest.fixture
def s3(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    return seaweed


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings from outside, no cache folder but the test's own, and nothing left behind for the next test."""
    for name in [name for name in os.environ if name.startswith("CHATTERBOX_CACHED")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield
    if (key := sys.modules.get("chatterbox_cached.identity.key")) is not None:
        key._history = type(key._history)()  # what one test puts in the place of code is as in another process
    disable = getattr(sys.modules.get("chatterbox_cached"), "disable", None)
    if disable is not None:
        disable()
    notices = sys.modules.get("chatterbox_cached.notices")
    if notices is not None:
        notices._said.clear()  # each test is a program of its own
    for model in _MODELS:
        hold(model, family_of(model), None)


def _kept(model: Any) -> Any:
    _MODELS.append(model)
    return model


def pytest_unconfigure(config: pytest.Config) -> None:
    run_wide.remove(config._tmp_path_factory)


_TALLY: Counter[str] = Counter()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    item.user_properties += [(f"tried: {what}", times) for what, times in tally.take()]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        for name, times in report.user_properties:
            if name.startswith("tried: ") and isinstance(times, int):
                _TALLY[name.removeprefix("tried: ")] += times


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _TALLY:
        terminalreporter.section("tried")
        for what, times in sorted(_TALLY.items()):
            terminalreporter.line(f"{times:>9,}  {what}")
