"""Many who want a voice at once: it is prepared once, nobody waits for the dead, and nobody speaks as somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from chatterbox_cached.concurrency import turns
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.settings import Settings
from tests.support.beside import at_each_call
from tests.support.comparison import assert_same_conditionals
from tests.support.scenery import (
    SECONDS,
    at_once,
    calls_counted,
    ended_well,
    forked,
    standin,
    until,
    voices,
    what_is_held,
)
from tests.support.stage import Stage


def test_eight_threads_prepare_a_new_voice_once(english: Any, voice: Path, tmp_path: Path) -> None:
    prepared = list[int]()
    cache = ConditionalCache(tmp_path / "voices")
    models = [copy.copy(english) for _ in range(8)]  # one model each, so that no turn keeps them apart
    with at_each_call(type(english).prepare_conditionals, lambda: prepared.append(threading.get_ident())):
        got = at_once(lambda number: cache.get_or_prepare(models[number], voice), 8)
    assert len(prepared) == 1
    now = cache.get_cache_stats()
    assert (now["misses"], now["memory_hits"], now["bypasses"], now["errors"]) == (1, 7, {}, {})
    for conditionals in got:
        assert_same_conditionals(conditionals, got[0])
    assert len({id(conditionals) for conditionals in got}) == 8


def _prepared(folder: Path) -> list[int]:
    """The processes that prepared something, in that order."""
    return [int(line) for line in (folder / "log").read_text().split()] if (folder / "log").exists() else []


def eight_processes(folder: Path, threads: int) -> Any:
    upstream, (voice,) = standin(folder), voices(folder, 1)
    upstream.meanwhile = staticmethod(lambda _: time.sleep(0.2))
    go = time.monotonic() + 0.3

    def want() -> None:
        cache = ConditionalCache(folder / "voices")
        models = [upstream() for _ in range(threads)]
        time.sleep(max(0.0, go - time.monotonic()))
        for conditionals in at_once(lambda number: cache.get_or_prepare(models[number], voice), threads):
            assert torch.equal(conditionals.gen["embedding"], _expected(voice))
        now = cache.get_cache_stats()
        assert (calls_counted(now), now["bypasses"], now["errors"]) == (threads, {}, {}), now

    assert ended_well(*[forked(want) for _ in range(8)])
    return len(_prepared(folder))


def _expected(voice: Path) -> torch.Tensor:
    from chatterbox.tts import voice_of

    return voice_of(voice.read_bytes())


@pytest.mark.parametrize("threads", [1, 8])
def test_eight_processes_prepare_a_new_voice_once(threads: int, stage: Stage, tmp_path: Path) -> None:
    assert stage(eight_processes, threads, folder=tmp_path) == 1


def a_killed_holder(folder: Path, forks: bool) -> Any:
    """How long the others wait when the process that prepares is killed, which has perhaps had a child meanwhile."""
    upstream, (voice,) = standin(folder), voices(folder, 1)

    def hang(_: Path) -> None:
        upstream.meanwhile = staticmethod(lambda _: None)
        if forks:
            at_once(lambda _: (folder / "child").write_text(str(forked(lambda: time.sleep(SECONDS)))), 1)
        (folder / "there").touch()
        time.sleep(SECONDS)

    upstream.meanwhile = staticmethod(hang)
    holder = forked(lambda: ConditionalCache(folder / "voices").get_or_prepare(upstream(), voice))
    until((folder / "there").exists)
    upstream.meanwhile = staticmethod(lambda _: None)
    waiters = [forked(lambda: ConditionalCache(folder / "voices").get_or_prepare(upstream(), voice)) for _ in range(3)]
    time.sleep(0.3)
    waited = len(_prepared(folder)) == 1
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    killed = time.monotonic()
    assert ended_well(*waiters)
    took = time.monotonic() - killed
    if forks:
        os.kill(int((folder / "child").read_text()), signal.SIGKILL)
    return waited, len(_prepared(folder)), took


@pytest.mark.parametrize("forks", [False, True], ids=["alone", "with a child"])
def test_when_the_process_that_prepares_is_killed_the_next_takes_over_at_once(
    forks: bool, stage: Stage, tmp_path: Path
) -> None:
    waited, prepared, took = stage(a_killed_holder, forks, folder=tmp_path)
    assert waited
    assert prepared == 2
    assert took < Settings().wait_seconds / 2


def a_slow_holder(folder: Path, across: str) -> Any:
    """How long one waits who has had enough after 0.3 s, and how many have then prepared."""
    upstream, (voice,) = standin(folder), voices(folder, 1)
    done = folder / "done"

    def hang(_: Path) -> None:
        (folder / "there").touch()
        until(done.exists)

    def hold() -> None:
        cache.get_or_prepare(upstream(), voice)

    cache = ConditionalCache(folder / "voices", wait_seconds=0.3)
    model = upstream()
    upstream.meanwhile = staticmethod(hang)
    holder = threading.Thread(target=hold) if across == "threads" else None
    child = None if holder else forked(hold)
    if holder:
        holder.start()
    until((folder / "there").exists)
    upstream.meanwhile = staticmethod(lambda _: None)
    started = time.monotonic()
    cache.get_or_prepare(model, voice)
    took, prepared = time.monotonic() - started, len(_prepared(folder))
    done.touch()
    if holder:
        holder.join()
    else:
        assert child is not None
        assert ended_well(child)
    return took, prepared, what_is_held(cache, model), cache.get_cache_stats()["disk_cached_items"]


@pytest.mark.parametrize("across", ["threads", "processes"])
def test_who_has_waited_long_enough_helps_himself(across: str, stage: Stage, tmp_path: Path) -> None:
    took, prepared, held, kept = stage(a_slow_holder, across, folder=tmp_path)
    assert took >= 0.3  # and the holder still had it
    assert (prepared, held, kept) == (2, [], 1)


def a_failing_holder(folder: Path) -> Any:
    upstream, (voice,) = standin(folder), voices(folder, 1)
    voice.write_text("noise")
    upstream.meanwhile = staticmethod(lambda _: time.sleep(0.05))
    folder_of_voices, models = folder / "voices", [upstream() for _ in range(5)]
    cache = ConditionalCache(folder_of_voices)

    def in_another_process() -> None:
        other = ConditionalCache(folder_of_voices)
        with pytest.raises(ValueError, match="upstream can't make anything"):
            other.get_or_prepare(upstream(), voice)

    children = [forked(in_another_process) for _ in range(3)]
    ended = at_once(lambda number: cache.get_or_prepare(models[number], voice), 5)
    assert ended_well(*children)
    now = cache.get_cache_stats()
    errors = [[type(error).__name__, str(error)] for error in ended]
    return errors, len(_prepared(folder)), now["misses"], now["disk_cached_items"], what_is_held(cache, models[0])


def test_when_a_preparation_fails_each_waiter_tries_himself_and_hears_upstream(stage: Stage, tmp_path: Path) -> None:
    errors, prepared, misses, kept, held = stage(a_failing_holder, folder=tmp_path)
    assert errors == [["ValueError", "upstream can't make anything of this audio"]] * 5
    assert (prepared, misses, kept, held) == (8, 5, 0, [])


def _interrupted(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(SECONDS)


def _raises(error: BaseException) -> Any:
    def meanwhile(_: Path) -> None:
        raise error

    return meanwhile


CUT_SHORT = {
    "MemoryError": _raises(MemoryError()),
    "KeyboardInterrupt": _interrupted,
    "CancelledError": _raises(asyncio.CancelledError()),
    "SystemExit": _raises(SystemExit(1)),
    "GeneratorExit": _raises(GeneratorExit()),
}


def cut_short(folder: Path, how: str) -> Any:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    upstream, (voice,) = standin(folder), voices(folder, 1)
    cache, model = ConditionalCache(folder / "voices"), upstream()
    upstream.meanwhile = staticmethod(CUT_SHORT[how])
    try:
        cache.get_or_prepare(model, voice)
    except BaseException as error:
        raised = type(error).__name__
    now = cache.get_cache_stats()
    left = now["memory_cached_items"], now["disk_cached_items"], len(list((folder / "voices").rglob("*.val")))
    held = what_is_held(cache, model)
    upstream.meanwhile = staticmethod(lambda _: None)
    (after,) = at_once(lambda _: cache.get_or_prepare(model, voice), 1)
    assert torch.equal(after.gen["embedding"], _expected(voice))
    return raised, left, held, cache.get_cache_stats()["misses"]


@pytest.mark.parametrize("how", CUT_SHORT)
def test_a_preparation_that_is_cut_short_leaves_no_lock_and_no_entry(how: str, stage: Stage, tmp_path: Path) -> None:
    assert stage(cut_short, how, folder=tmp_path) == [how, [0, 0, 0], [], 2]


def an_impatient_waiter(folder: Path) -> Any:
    """Somebody presses Ctrl-C while he waits for another thread's preparation."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    upstream, (voice,) = standin(folder), voices(folder, 1)
    cache, waiter, done = ConditionalCache(folder / "voices"), upstream(), threading.Event()

    def hang(_: Path) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        done.wait(SECONDS)

    upstream.meanwhile = staticmethod(hang)
    holder = threading.Thread(target=lambda: cache.get_or_prepare(upstream(), voice))
    holder.start()
    until(lambda: bool(_prepared(folder)))
    with pytest.raises(KeyboardInterrupt):
        cache.get_or_prepare(waiter, voice)
    done.set()
    holder.join()
    cache.get_or_prepare(waiter, voice)
    return what_is_held(cache, waiter), len(_prepared(folder)), cache.get_cache_stats()["memory_hits"]


def test_a_waiter_can_be_interrupted(stage: Stage, tmp_path: Path) -> None:
    assert stage(an_impatient_waiter, folder=tmp_path) == [[], 1, 1]


def a_cancelled_task(folder: Path) -> Any:
    """A task is cancelled while its thread prepares; the thread goes on, as Python's threads do."""
    upstream, (voice,) = standin(folder), voices(folder, 1)
    cache, model, done = ConditionalCache(folder / "voices"), upstream(), threading.Event()
    upstream.meanwhile = staticmethod(lambda _: done.wait(SECONDS))

    async def main() -> None:
        task = asyncio.create_task(asyncio.to_thread(cache.get_or_prepare, model, voice))
        while not _prepared(folder):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        done.set()

    asyncio.run(main())  # waits for the thread
    cache.get_or_prepare(model, voice)
    return what_is_held(cache, model), len(_prepared(folder)), cache.get_cache_stats()["memory_hits"]


def test_a_task_that_is_cancelled_leaves_its_voice_and_no_lock(stage: Stage, tmp_path: Path) -> None:
    assert stage(a_cancelled_task, folder=tmp_path) == [[], 1, 1]


@pytest.fixture(scope="module", params=["english", "multilingual"])
def speaker(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


class Listener:
    """Hears with whose conditionals upstream's ``generate`` really speaks; what they would have said is left out."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mine = threading.local()
        self.mixed: list[str] = []
        tokens = torch.zeros(1, 3, dtype=torch.long)

        def t3_inference(*, t3_cond: Any, **_: Any) -> torch.Tensor:
            time.sleep(0.0005)  # everybody else gets a chance to break in
            self._compare("speaker", t3_cond.speaker_emb, self._mine.voice.t3.speaker_emb)
            self._compare("exaggeration", t3_cond.emotion_adv, torch.full((1, 1, 1), self._mine.exaggeration))
            return tokens

        def s3gen_inference(_: Any, *, ref_dict: Any, **__: Any) -> tuple[torch.Tensor, None]:
            self._compare("sound", ref_dict["embedding"], self._mine.voice.gen["embedding"])
            return torch.zeros(1, 8), None

        monkeypatch.setattr(model.t3, "inference", t3_inference)
        # On the class: a model with methods of its own is none that the cache would know what to make of.
        monkeypatch.setattr(type(model.s3gen), "inference", s3gen_inference)

    def _compare(self, what: str, heard: torch.Tensor, expected: torch.Tensor) -> None:
        if not torch.equal(heard, expected):
            self.mixed.append(what)

    def speak(self, model: Any, path: Path, voice: Any, exaggeration: float) -> None:
        self._mine.voice, self._mine.exaggeration = voice, exaggeration
        language = ("en",) if hasattr(model, "get_supported_languages") else ()
        model.generate("Hello.", *language, audio_prompt_path=path, exaggeration=exaggeration)


class Cast(NamedTuple):
    """Fourteen voices and what upstream makes of them."""

    new: dict[Path, Any]  # two that no cache has
    kept: dict[Path, Any]  # six that were prepared into a cache folder
    brought: dict[Path, Any]  # six variations in .pt files, whose audio there never was
    folder: Path

    @property
    def voices(self) -> dict[Path, Any]:
        return {**self.new, **self.kept, **self.brought}


@pytest.fixture(scope="module")
def cast(speaker: Any, voice: Path, other_voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    folder = tmp_path_factory.mktemp("cast")
    cast = Cast({}, {}, {}, folder / "voices")
    with contextlib.closing(ConditionalCache(cast.folder)) as cache, torch.no_grad():
        for path in (voice, other_voice):
            speaker.prepare_conditionals(path)
            cast.new[path] = speaker.conds
        for number in range(6):
            path = rehearsal.reference_clip(folder / f"kept {number}.wav", seconds=2, seed=number + 2)
            cast.kept[path] = cache.get_or_prepare(speaker, path)
        assert cache.get_cache_stats()["misses"] == 6  # so these are upstream's own
    for number in range(6):
        varied = copy.deepcopy(cast.new[voice])
        varied.t3.speaker_emb.add_(number + 1)
        varied.gen["embedding"].add_(number + 1)
        cast.brought[folder / f"{number}.wav"] = varied
        varied.save(folder / f"{number}.pt")
    return cast


def _cache_of(cast: Cast, folder: Path, **settings: Any) -> ConditionalCache:
    shutil.copytree(cast.folder, folder / "voices")
    cache = ConditionalCache(folder / "voices", **settings)
    for path in cast.brought:
        cache.load(path.with_suffix(".pt"), path)
    return cache


def _instantly(cast: Cast) -> Any:
    """In place of upstream's preparation: the same conditionals in no time."""

    def prepare_conditionals(self: Any, wav_fpath: Path, exaggeration: float = 0.5) -> None:
        self.conds = copy.deepcopy(cast.voices[wav_fpath])

    return prepare_conditionals


@pytest.mark.parametrize("by", ["turns", "no turns", "no cache"])
def test_no_call_speaks_with_another_calls_voice(
    by: str, speaker: Any, cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one model is shared without turns, or without a cache, calls do: so this test would see it."""
    listener = Listener(speaker, monkeypatch)
    cache = _cache_of(cast, tmp_path, take_turns=by == "turns", memory_entries=3)  # so that hits come from disk too
    if by != "turns":
        monkeypatch.setattr(type(speaker), "prepare_conditionals", _instantly(cast))
    if by != "no cache":
        chatterbox_cached.enable(cache=cache)

    def perform(number: int) -> None:
        chance = random.Random(number)
        for _ in range(30):
            path, expected = chance.choice(list(cast.voices.items()))
            # Who goes round the cache must not disturb the others either.
            aside = path in cast.new and chance.random() < 0.05
            with chatterbox_cached.disabled() if aside else contextlib.nullcontext():
                listener.speak(speaker, path, expected, chance.choice((0.3, 0.5, 0.7)))

    assert at_once(perform, 6) == [None] * 6
    assert bool(listener.mixed) == (by != "turns")
    now = cache.get_cache_stats()
    assert calls_counted(now) == (0 if by == "no cache" else 180)
    if by == "turns":
        assert (now["misses"], now["bypasses"].keys(), now["errors"]) == (2, {"disabled"}, {})
        assert min(now["disk_hits"], now["memory_hits"]) > 30


@pytest.mark.parametrize("by", ["turns", "no turns", "no cache", "round the cache"])
def test_two_threads_with_two_voices_on_one_model_need_turns(
    by: str, speaker: Any, cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have prepared before either speaks: without turns one of them is certain to hear the other's voice."""
    listener, together = Listener(speaker, monkeypatch), threading.Barrier(2)
    plain, one_at_a_time = speaker.tokenizer.text_to_tokens, by in ("turns", "round the cache")

    def wait_for_the_other(*args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5 if one_at_a_time else SECONDS)
        return plain(*args, **kwargs)

    monkeypatch.setattr(type(speaker), "prepare_conditionals", _instantly(cast))
    monkeypatch.setattr(speaker.tokenizer, "text_to_tokens", wait_for_the_other)
    if by != "no cache":
        chatterbox_cached.enable(cache=_cache_of(cast, tmp_path, take_turns=by != "no turns"))
    pair = list(cast.new)

    def perform(number: int) -> None:
        with chatterbox_cached.disabled() if by == "round the cache" else contextlib.nullcontext():
            listener.speak(speaker, pair[number], cast.new[pair[number]], 0.5)

    assert at_once(perform, 2) == [None, None]
    assert set(listener.mixed) == (set() if one_at_a_time else {"speaker", "sound"})


def test_get_or_prepare_gives_its_own_voice_though_another_comes_right_after(
    english: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    expected, _ = cache.get_or_prepare(english, voice), cache.get_or_prepare(english, other_voice)
    turn = turns.turn(english)

    class ThenAnother:
        """A turn after which another thread sets its own voice before this one goes on."""

        reserved = turn.reserved

        @property
        def lock(self) -> ThenAnother:
            return self

        def __enter__(self) -> None:
            turn.lock.acquire()

        def __exit__(self, *_: object) -> None:
            turn.lock.release()
            monkeypatch.undo()
            at_once(lambda _: cache.get_or_prepare(english, other_voice), 1)

    monkeypatch.setattr("chatterbox_cached.serving.voices.turn", lambda _: ThenAnother())
    assert_same_conditionals(cache.get_or_prepare(english, voice), expected)


def no_turns(folder: Path) -> Any:
    """Without turns another thread prepares on the same model before the first one's voice was put away."""
    upstream, (voice, other) = standin(folder), voices(folder, 2)
    cache, model = ConditionalCache(folder / "voices", take_turns=False), upstream()
    count, others = cache.serving.stats.prepared, []

    def let_another_in(seconds: float) -> None:  # this is what comes between a preparation and a look at it
        count(seconds)
        if not others:
            others.append(threading.Thread(target=cache.get_or_prepare, args=(model, other)))
            others[0].start()
            others[0].join(0.5)

    cache.serving.stats.prepared = let_another_in
    cache.get_or_prepare(model, voice)
    others[0].join()
    for path in (voice, other):
        kept = cache.get_or_prepare(model, path).gen["embedding"]
        assert torch.equal(kept, _expected(path)), f"{path.name} is another's voice"
    return cache.get_cache_stats()["memory_hits"]


def test_without_turns_no_voice_is_kept_as_anothers(stage: Stage, tmp_path: Path) -> None:
    assert stage(no_turns, folder=tmp_path) == 2


def a_generate_in_between(folder: Path) -> Any:
    """Without turns a ``generate`` puts its own voice's speaker into conditionals that were prepared just now."""
    upstream, (voice, other) = standin(folder), voices(folder, 2)
    cache, model = chatterbox_cached.enable(folder / "voices", take_turns=False), upstream()
    module, speaking, prepared = sys.modules[upstream.__module__], threading.Event(), threading.Event()
    count = cache.serving.stats.prepared

    def after_the_preparation() -> None:
        if threading.current_thread() is speaker:
            speaking.set()
            assert prepared.wait(SECONDS)

    def before_it_is_put_away(seconds: float) -> None:
        count(seconds)
        prepared.set()
        speaker.join(SECONDS)

    model.prepare_conditionals(voice, exaggeration=0.3)
    speaker = threading.Thread(target=lambda: model.generate("Hello.", exaggeration=0.7))
    cache.serving.stats.prepared = before_it_is_put_away  # type: ignore[method-assign]
    with at_each_call(module.T3Cond.__init__, after_the_preparation):
        speaker.start()
        assert speaking.wait(SECONDS)
        model.prepare_conditionals(other, exaggeration=0.7)
    mixed = model.conds.t3.speaker_emb[:, :192]
    cache.serving.stats.prepared = count  # type: ignore[method-assign]
    assert torch.equal(mixed, _expected(voice)), "nothing was mixed up, so this shows nothing"
    model.prepare_conditionals(other, exaggeration=0.7)
    assert torch.equal(model.conds.t3.speaker_emb[:, :192], _expected(other)), "another's voice was kept"
    return cache.get_cache_stats()["not_stored"]


def test_without_turns_no_voice_is_kept_with_the_speaker_of_another_call(stage: Stage, tmp_path: Path) -> None:
    assert stage(a_generate_in_between, folder=tmp_path) == {"another call was on the model": 1}
